#include "platform/process/process.h"
#include "processes/embedded/embedded_settings.h"

#include <filesystem>

#include <gtest/gtest.h>

namespace weft::embedded {
namespace {

class ProcessFileTest : public ::testing::Test {
protected:
    ProcessFileTest() {
        std::string pattern = "/tmp/weft-process-file-XXXXXX";
        folder_ = mkdtemp(pattern.data());
    }
    ~ProcessFileTest() override { std::filesystem::remove_all(folder_); }

    std::string folder_;
};

TEST_F(ProcessFileTest, ComesBackAsItWas) {
    ProcessFile file;
    file.name = "demo";
    file.drive_paths = {"/a/0.drive", "/b/1.drive"};
    file.mounts.push_back({"demo", "/mnt/with \"quotes\""});
    ASSERT_TRUE(write_process_file(folder_, file).ok());
    auto back = read_process_file(folder_);
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(back.value(), file);
    file.creating = true;
    ASSERT_TRUE(write_process_file(folder_, file).ok());
    EXPECT_EQ(read_process_file(folder_).value(), file);
}

TEST_F(ProcessFileTest, TellsAbsenceFromDamage) {
    EXPECT_EQ(read_process_file(folder_).code(), Code::not_found);
    for (const char* bad :
         {"", "[]", "{", "{}", R"({"drives":[7]})", R"({"drives":[],"mounts":["x"]})"}) {
        ASSERT_TRUE(process::write_file(folder_ + "/process.json", bad).ok());
        EXPECT_EQ(read_process_file(folder_).code(), Code::corrupt) << bad;
    }
}

}  // namespace
}  // namespace weft::embedded
