#include "control/cli/cli.h"

#include "control/cli/session_internal.h"
#include "control/cli/table.h"
#include "control/cli/units.h"

#include <sstream>

#include <gtest/gtest.h>

namespace weft::control {
namespace {

TEST(Units, ParsesSizesInPowersOf1024) {
    EXPECT_EQ(parse_bytes("4096"), 4096U);
    EXPECT_EQ(parse_bytes("64K"), 64 * kKiB);
    EXPECT_EQ(parse_bytes("1.5GiB"), kGiB + kGiB / 2);
    EXPECT_EQ(parse_bytes("2 TB"), 2048 * kGiB);
    EXPECT_EQ(parse_bytes("7b"), std::nullopt);
    EXPECT_EQ(parse_bytes("0"), std::nullopt);
    EXPECT_EQ(parse_bytes("-1G"), std::nullopt);
    EXPECT_EQ(parse_bytes("10X"), std::nullopt);
    EXPECT_EQ(parse_bytes("9999999E"), std::nullopt);
    EXPECT_EQ(parse_bytes(""), std::nullopt);
}

TEST(Units, FormatsForPeople) {
    EXPECT_EQ(format_bytes(0), "0 B");
    EXPECT_EQ(format_bytes(1536), "1.5 KiB");
    EXPECT_EQ(format_bytes(100 * kGiB), "100 GiB");
    EXPECT_EQ(format_bytes(1023 * kMiB + 1023 * kKiB), "1.0 GiB");
    EXPECT_EQ(format_count(12345), "12.3 k");
    EXPECT_EQ(format_duration(59 * kSecond), "59 s");
    EXPECT_EQ(format_duration(3 * 86400 * kSecond + 4 * 3600 * kSecond), "3 d 4 h");
}

TEST(Table, AlignsColumnsAndEndsLinesWithoutBlanks) {
    Table table;
    table.column("NAME");
    table.column("SIZE", Table::Align::right);
    table.row({"a", "1"});
    table.row({"longer", "1000"});
    EXPECT_EQ(table.text(),
              "NAME    SIZE\n"
              "a          1\n"
              "longer  1000\n");
}

// A cluster that answers every request with one reply, and remembers what was asked.
struct FakeCluster {
    Reply reply{true, Json(true), "", ""};
    bool reachable = true;
    Json asked;
    int serve_calls = 0;
    ServeSettings served;

    Host host() {
        Host made;
        made.serve = [this](ServeSettings settings) {
            served = std::move(settings);
            return ++serve_calls, 0;
        };
        made.request = [this](std::string, Json body) -> Result<Reply> {
            asked = std::move(body);
            if (!reachable) return Error{Code::unavailable, "test"};
            return reply;
        };
        return made;
    }
    int run(std::vector<const char*> arguments) {
        arguments.insert(arguments.begin(), "weft");
        Host made = host();
        return control::run(static_cast<int>(arguments.size()), arguments.data(), made);
    }
};

TEST(Cli, SendsTheRequestThatWasTyped) {
    FakeCluster cluster;
    EXPECT_EQ(cluster.run({"fs", "create", "scratch", "--size", "10G"}), kExitOk);
    EXPECT_EQ(text_at(cluster.asked, "verb"), "fs.create");
    EXPECT_EQ(text_at(cluster.asked["arguments"], "name"), "scratch");
    EXPECT_EQ(number_at(cluster.asked["arguments"], "capacity_bytes"), 10 * kGiB);
}

TEST(Cli, TellsUsageErrorsFromFailuresFromSilence) {
    FakeCluster cluster;
    EXPECT_EQ(cluster.run({"fs", "create", "scratch"}), kExitUsage);
    EXPECT_EQ(cluster.run({"fs", "create", "scratch", "--size", "lots"}), kExitUsage);
    EXPECT_EQ(cluster.run({"no-such-command"}), kExitUsage);
    cluster.reply = Reply{false, Json(), "already_exists", "fs.create"};
    EXPECT_EQ(cluster.run({"fs", "create", "scratch", "--size", "1G"}), kExitFailed);
    cluster.reachable = false;
    EXPECT_EQ(cluster.run({"status"}), kExitUnreachable);
}

TEST(Cli, DoctorWithFindingsIsUnhealthy) {
    FakeCluster cluster;
    cluster.reply.value = Json::array();
    EXPECT_EQ(cluster.run({"doctor", "--full"}), kExitOk);
    EXPECT_TRUE(flag_at(cluster.asked["arguments"], "full"));
    Json finding;
    finding["where"] = "inode 7";
    finding["what"] = "link count 2, entries 1";
    cluster.reply.value.push_back(finding);
    EXPECT_EQ(cluster.run({"doctor"}), kExitUnhealthy);
}

TEST(Cli, RemovingWithoutATerminalNeedsYes) {
    FakeCluster cluster;
    EXPECT_EQ(cluster.run({"fs", "remove", "scratch", "--yes"}), kExitOk);
    EXPECT_EQ(text_at(cluster.asked, "verb"), "fs.remove");
}

TEST(Cli, HelpAndCompletionNeedNoCluster) {
    FakeCluster cluster;
    cluster.reachable = false;
    EXPECT_EQ(cluster.run({"--help"}), kExitOk);
    for (const char* shell : {"bash", "zsh", "fish"}) {
        EXPECT_EQ(cluster.run({"completion", shell}), kExitOk);
    }
    EXPECT_EQ(cluster.run({"completion", "tcsh"}), kExitUsage);
}

TEST(Cli, TakesHostsByNameAndRefusesWhatIsNoAddress) {
    FakeCluster cluster;
    EXPECT_EQ(cluster.run({"serve", "--folder", "/tmp/x", "--listen", "localhost:7000"}), kExitOk);
    EXPECT_EQ(cluster.served.listen, "127.0.0.1:7000");
    EXPECT_EQ(cluster.run({"serve", "--folder", "/tmp/x", "--listen", "7000"}), kExitUsage);
    EXPECT_EQ(cluster.run({"mount", "demo", "/tmp/x", "--at", "localhost"}), kExitUsage);
}

TEST(Cli, SaysASentenceWhereTheClusterSaysATag) {
    EXPECT_EQ(sentence_of("it is mounted; unmount it first", "not_permitted"),
              "it is mounted; unmount it first");
    EXPECT_EQ(sentence_of("drive.format", "io_failed"),
              "the system or a device refused it: see weft.log");
    EXPECT_EQ(sentence_of("drive.format", "no such code"), "it failed in drive.format");
}

TEST(Cli, RefusesSchemesOutsideTheirRange) {
    FakeCluster cluster;
    EXPECT_EQ(cluster.run({"serve", "--folder", "/tmp/x", "--scheme", "2+2"}), kExitUsage);
    EXPECT_EQ(cluster.run({"serve", "--folder", "/tmp/x", "--scheme", "4+2"}), kExitOk);
    EXPECT_EQ(cluster.serve_calls, 1);
}

}  // namespace
}  // namespace weft::control
