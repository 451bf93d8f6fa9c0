// The protocol of docs/formats/control.md.
#include "control/api/control_server.h"
#include "control/json/json.h"
#include "platform/simulated/simulated_reactor.h"

#include <gtest/gtest.h>

namespace weft::control {
namespace {

class FakeManagement : public ManagementService {
public:
    Task<ClusterReport> report() override {
        ClusterReport report;
        report.map.name = "demo";
        report.map.filesystems.push_back({FilesystemId{1}, "a", 4096, 0});
        report.compute.filesystems.push_back({FilesystemId{1}, 3, 4, 5});
        report.compute.counters.emplace_back("ops.create", 7);
        report.drives.emplace_back();
        co_return report;
    }
    Task<FilesystemEntry> create_filesystem(std::string name, std::uint64_t bytes) override {
        if (name == "a") co_return Error{Code::already_exists, "fs.create"};
        co_return FilesystemEntry{FilesystemId{2}, std::move(name), bytes, 0};
    }
    Task<FilesystemEntry> resize_filesystem(std::string name, std::uint64_t bytes) override {
        co_return FilesystemEntry{FilesystemId{1}, std::move(name), bytes, 0};
    }
    Task<Done> remove_filesystem(std::string) override { return done(); }
    Task<Done> fail_drive(DriveId drive, bool) override {
        failed = drive;
        return done();
    }
    Task<DriveEntry> add_drive(std::string path, std::uint64_t, bool) override {
        DriveEntry entry;
        entry.path = std::move(path);
        co_return entry;
    }
    Task<DriveEntry> replace_drive(DriveId, std::string path, std::uint64_t, bool) override {
        return add_drive(std::move(path), 0, false);
    }
    Task<Done> mount(std::string, std::string) override { return done(); }
    Task<Done> unmount(std::string) override { return done(); }
    Task<std::vector<Finding>> check(bool full) override {
        std::vector<Finding> findings;
        if (full) findings.push_back({"inode 7", "link count"});
        co_return findings;
    }
    Task<Done> stop() override { return done(); }

    DriveId failed;

private:
    static Task<Done> done() { co_return Done{}; }
};

Json ask(FakeManagement& management, std::string request) {
    SimulatedReactor reactor;
    auto reply = reactor.run(answer(&management, std::move(request)));
    return *parse_json(reply.value());
}

TEST(Answer, GivesTheClusterWithUsageBesideEachFilesystem) {
    FakeManagement management;
    Json reply = ask(management, R"({"verb":"status"})");
    ASSERT_TRUE(flag_at(reply, "ok"));
    EXPECT_EQ(text_at(reply["value"], "name"), "demo");
    EXPECT_EQ(number_at(reply["value"]["filesystems"][0], "used_bytes"), 3 * kBlockBytes);
    EXPECT_EQ(number_at(reply["value"]["counters"], "ops.create"), 7U);
}

TEST(Answer, GivesTheCodeOfAFailure) {
    FakeManagement management;
    Json reply = ask(management, R"({"verb":"fs.create","arguments":{"name":"a"}})");
    EXPECT_FALSE(flag_at(reply, "ok"));
    EXPECT_EQ(text_at(reply, "code"), "already_exists");
}

TEST(Answer, PassesArgumentsOn) {
    FakeManagement management;
    EXPECT_TRUE(flag_at(ask(management, R"({"verb":"drive.fail","arguments":{"drive":4}})"), "ok"));
    EXPECT_EQ(management.failed, DriveId{4});
    Json checked = ask(management, R"({"verb":"check","arguments":{"full":true}})");
    EXPECT_EQ(text_at(checked["value"][0], "where"), "inode 7");
}

TEST(Answer, RefusesWhatIsNoRequest) {
    FakeManagement management;
    for (const char* request : {"", "7", "[]", "{", R"({"verb":7})", R"({"verb":"no.such"})",
                                R"({"verb":"status","arguments":[]})"}) {
        EXPECT_FALSE(flag_at(ask(management, request), "ok")) << request;
    }
}

}  // namespace
}  // namespace weft::control
