#pragma once

#include "platform/base/bytes.h"
#include "platform/runtime/gate.h"
#include "platform/simulated/simulated_reactor.h"
#include "roles/compute/compute_role.h"
#include "testing/memory_drives.h"

#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace weft::compute {

// What the work ends with, for tests that go on meanwhile.
template <class T>
Task<Done> note_code(Task<T> work, std::optional<Code>* code) {
    auto ended = co_await work;
    code->emplace(ended.code());
    co_return Done{};
}

// A frontend that caches nothing and says so, and notes what it was asked.
class NotingHolder : public LeaseHolder {
public:
    Task<Done> recall(Recall recall) override {
        recalls.push_back(recall);
        while (stuck != nullptr) co_await stuck->wait();
        co_return Done{};
    }
    std::vector<Recall> recalls;
    Signal* stuck = nullptr;  // If set, recalls never come back.
};

// One core over drives in memory: 3 + 2 on 7 drives, 4 shards.
class ComputeTest : public ::testing::Test {
protected:
    static constexpr FilesystemId kFilesystem{1};

    explicit ComputeTest(std::uint64_t seed = 1) : reactor(seed), drives(reactor, 7, 96, 256) {
        map.cluster = 77;
        map.epoch = Epoch{1};
        map.name = "test";
        map.data_width = 3;
        map.parity_width = 2;
        map.slot_bytes = 256 * kBlockBytes;
        map.shard_count = 4;
        map.routing_key = {1, 2};
        for (std::uint32_t i = 0; i < 7; ++i) {
            DriveEntry drive;
            drive.id = DriveId{i};
            drive.domain = FailureDomainId{i};
            drive.size_bytes = 96 * map.slot_bytes;
            map.drives.push_back(drive);
        }
        FilesystemEntry entry;
        entry.id = kFilesystem;
        entry.name = "fs";
        entry.capacity_bytes = 256 * kMiB;
        map.filesystems.push_back(entry);
    }

    void SetUp() override { start(); }
    void TearDown() override {
        wait(kSecond);
        expect_sound(true);
    }

    void start() {
        ++map.epoch.value;
        role = std::make_unique<ComputeRole>(reactor, drives, settings);
        auto opened = reactor.run(role->open(map, map.epoch));
        ASSERT_TRUE(opened.ok()) << name_of(opened.code()) << " " << opened.error().what;
        ASSERT_TRUE(reactor.run(role->create_filesystem(kFilesystem)).ok());
        caller.session = role->open_session(&holder).value();
    }
    // The role goes without notice, and comes back from the drives.
    void crash() {
        role.reset();
        start();
    }
    void restart() {
        ASSERT_TRUE(reactor.run(role->close()).ok());
        crash();
    }

    template <class T>
    Result<T> run(Task<T> task) {
        return reactor.run(std::move(task));
    }
    Caller next() {
        ++caller.seq;
        return caller;
    }
    FileId id(InodeId inode) const { return {kFilesystem, inode}; }
    FileId root() const { return id(kRootInode); }

    Result<Node> make(FileId directory, std::string name, std::uint32_t mode) {
        NewNode what;
        what.mode = mode;
        return run(role->create(next(), directory, std::move(name), what));
    }
    FileId make_file(FileId directory, std::string name) {
        auto made = make(directory, std::move(name), 0100644);
        EXPECT_TRUE(made.ok()) << name_of(made.code());
        return id(made.value().inode);
    }
    FileId make_directory(FileId directory, std::string name) {
        auto made = make(directory, std::move(name), 0040755);
        EXPECT_TRUE(made.ok()) << name_of(made.code());
        return id(made.value().inode);
    }
    Result<Node> look_up(FileId directory, std::string name) {
        return run(role->lookup(caller, directory, std::move(name)));
    }
    InodeRecord attributes(FileId file) {
        auto node = run(role->getattr(caller, file));
        EXPECT_TRUE(node.ok()) << name_of(node.code());
        return node.ok() ? node.value().attributes : InodeRecord{};
    }
    Code write(FileId file, std::uint64_t offset, std::string_view bytes, bool append = false) {
        return run(role->write(next(), file, offset, bytes_of(bytes), append, false)).code();
    }
    std::string read(FileId file, std::uint64_t offset, std::size_t length) {
        std::string bytes(length, '?');
        auto reply = run(role->read(caller, file, offset,
                                    std::as_writable_bytes(std::span(bytes.data(), length))));
        EXPECT_TRUE(reply.ok()) << name_of(reply.code());
        if (reply.ok()) bytes.resize(reply.value().count);
        return bytes;
    }
    Code set_size(FileId file, std::uint64_t size) {
        AttributeChange change;
        change.size = size;
        return run(role->setattr(next(), file, change)).code();
    }
    // The names of a directory, over as many pages as it takes.
    std::vector<std::string> names(FileId directory, std::uint32_t most_bytes = 4096) {
        std::vector<std::string> found;
        std::uint64_t cookie = 0;
        for (;;) {
            auto page = run(role->readdir(caller, directory, cookie, most_bytes, false));
            EXPECT_TRUE(page.ok()) << name_of(page.code());
            if (!page.ok()) return found;
            for (const DirectoryItem& item : page.value().items) {
                found.push_back(item.name);
                cookie = item.cookie;
            }
            if (page.value().end) return found;
        }
    }
    void wait(Nanos duration) {
        auto waiting = [](Reactor* at, Nanos how_long) -> Task<Done> {
            co_await sleep(*at, how_long);
            co_return Done{};
        };
        (void)run(waiting(&reactor, duration));
    }
    void expect_sound(bool full = false) {
        auto found = run(role->check(full));
        ASSERT_TRUE(found.ok()) << name_of(found.code());
        for (const Finding& finding : found.value()) {
            ADD_FAILURE() << finding.where << ": " << finding.what;
        }
    }
    FilesystemUsage usage() { return run(role->usage(kFilesystem)).value(); }

    SimulatedReactor reactor;
    weft::testing::MemoryDrives drives;
    ClusterMap map;
    ComputeSettings settings;
    NotingHolder holder;
    Caller caller;
    std::unique_ptr<ComputeRole> role;
};

}  // namespace weft::compute
