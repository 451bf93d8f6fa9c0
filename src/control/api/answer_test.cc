// The protocol of docs/formats/control.md.
#include "control/api/control_server.h"
#include "control/api/management_testing_internal.h"
#include "control/json/json.h"
#include "platform/simulated/simulated_reactor.h"

#include <gtest/gtest.h>

namespace weft::control {
namespace {

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
    Json reply =
        ask(management, R"({"verb":"fs.create","arguments":{"name":"a","capacity_bytes":1}})");
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

// Else it would be done to the wrong drive, or a filesystem be made as small as can be.
TEST(Answer, RefusesARequestThatDoesNotSayToWhat) {
    FakeManagement management;
    management.failed = DriveId{77};
    for (const char* request : {
             R"({"verb":"drive.fail"})",
             R"({"verb":"drive.fail","arguments":{"drive":"3"}})",
             R"({"verb":"drive.fail","arguments":{"drive":-1}})",
             R"({"verb":"drive.fail","arguments":{"drive":4294967297}})",
             R"({"verb":"drive.replace","arguments":{"drive":1}})",
             R"({"verb":"drive.add","arguments":{"path":""}})",
             R"({"verb":"fs.create","arguments":{"name":"b"}})",
             R"({"verb":"fs.resize","arguments":{"name":"b","capacity_bytes":0}})",
             R"({"verb":"fs.remove"})",
             R"({"verb":"mount","arguments":{"filesystem":"a"}})",
         }) {
        Json reply = ask(management, request);
        EXPECT_FALSE(flag_at(reply, "ok")) << request;
        EXPECT_EQ(text_at(reply, "code"), "invalid") << request;
    }
    EXPECT_EQ(management.failed, DriveId{77});
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
