#include "roles/frontend/frontend_testing_internal.h"

#include <cerrno>

#include <fcntl.h>

namespace weft::frontend {
namespace {

constexpr Nanos kTerm = 1200 * kMillisecond;

// A mount whose caches are good for a term only.
struct Termed : MountFixture, SessionHost {
    Termed() { EXPECT_TRUE(reactor.run(role.open_session(*this, 5)).ok()); }

    Task<SessionId> open_session(LeaseHolder*, Client) override {
        ++sessions_opened;
        term.begin(reactor.now(), kTerm);
        compute.open_session(SessionId{100}, role);
        co_return SessionId{100};
    }
    Task<Done> close_session(SessionId) override { co_return Done{}; }
    const LeaseTerm* lease_term() const override { return &term; }

    std::size_t notices_of(std::uint64_t inode) const {
        std::size_t found = 0;
        for (const Notification& each : channel.notifications) {
            if (each.code == FUSE_NOTIFY_INVAL_INODE && each.inode() == inode) ++found;
        }
        return found;
    }
    // Offset and length of each range of pages.
    std::vector<std::pair<std::int64_t, std::int64_t>> dropped(std::uint64_t inode) const {
        std::vector<std::pair<std::int64_t, std::int64_t>> ranges;
        for (const Notification& each : channel.notifications) {
            bool pages = each.code == FUSE_NOTIFY_INVAL_INODE && each.inode() == inode;
            if (pages) ranges.emplace_back(each.offset(), each.length());
        }
        return ranges;
    }
    bool epoch_was_raised() const {
        for (const Notification& each : channel.notifications) {
            if (each.code == kNotifyIncEpoch) return true;
        }
        return false;
    }

    LeaseTerm term;
    int sessions_opened = 0;
};

TEST(Term, WhatIsKnownIsNotUsedOnceItIsOver) {
    Termed mount;
    auto file = mount.create("f");
    mount.compute.clear_calls();
    EXPECT_GT(mount.getattr(file.inode).attr_valid, 0U);
    EXPECT_EQ(mount.compute.count("getattr"), 0U);
    mount.pass(kTerm);  // Nobody has said anything: the clock does.
    EXPECT_EQ(mount.getattr(file.inode).attr_valid, 0U);
    EXPECT_GE(mount.compute.count("getattr"), 1U);
    auto entry = mount.lookup(1, "f");
    EXPECT_EQ(entry.entry_valid, 0U);
    EXPECT_EQ(entry.attr_valid, 0U);
    auto absent = mount.ask(FUSE_LOOKUP, 1, MountFixture::text("nothing"));
    EXPECT_EQ(absent.error, ENOENT);  // Not an entry that says so, which would be kept.
    auto opened = mount.open(file.inode, O_RDONLY);
    EXPECT_NE(opened.open_flags & FOPEN_DIRECT_IO, 0U);
}

TEST(Term, ItsEndMakesTheKernelForgetAndKeepsTheSession) {
    Termed mount;
    auto file = mount.create("f");
    mount.pass(kTerm);
    mount.channel.notifications.clear();
    mount.role.term_ended();
    mount.settle();
    EXPECT_EQ(mount.notices_of(file.inode), 1U);
    EXPECT_EQ(mount.notices_of(1), 1U);
    EXPECT_TRUE(mount.epoch_was_raised());
    EXPECT_EQ(mount.sessions_opened, 1);
    EXPECT_EQ(mount.compute.open_handles(), 1U);
}

// A process that is killed could not end while the kernel waits for pages that a request of its own
// has locked.
TEST(Term, PagesThatAreBeingReadAreLeftToTheirRead) {
    Termed mount;
    auto file = mount.create("f");
    mount.write(file, 0, std::string(4 * kBlockBytes, 'x'));
    mount.fsync(file);
    mount.compute.block("read");
    std::uint64_t reading = mount.send_read(file, kBlockBytes, kBlockBytes);
    mount.pass(kTerm);
    mount.channel.notifications.clear();
    mount.role.term_ended();
    mount.settle();
    using Ranges = std::vector<std::pair<std::int64_t, std::int64_t>>;
    constexpr auto kBlock = static_cast<std::int64_t>(kBlockBytes);
    EXPECT_EQ(mount.dropped(file.inode), (Ranges{{0, kBlock}, {2 * kBlock, 0}}));
    mount.channel.notifications.clear();
    mount.compute.unblock("read");
    EXPECT_EQ(mount.take(reading).error, 0);
    mount.settle();
    EXPECT_EQ(mount.dropped(file.inode), (Ranges{{kBlock, kBlock}}));
}

TEST(Term, PagesThatAreBeingWrittenAreLeftToTheirWrite) {
    Termed mount;
    auto file = mount.create("f");
    mount.pass(kTerm);
    mount.role.term_ended();
    mount.settle();
    mount.compute.block("write");
    std::uint64_t writing = mount.send_write(file, 10, "new");
    mount.term.renew(mount.reactor.now());
    mount.role.term_ended();
    mount.pass(kTerm);
    mount.channel.notifications.clear();
    mount.role.term_ended();
    mount.settle();
    using Ranges = std::vector<std::pair<std::int64_t, std::int64_t>>;
    EXPECT_EQ(mount.dropped(file.inode), (Ranges{{static_cast<std::int64_t>(kBlockBytes), 0}}));
    mount.channel.notifications.clear();
    mount.compute.unblock("write");
    EXPECT_EQ(mount.take(writing).error, 0);
    mount.settle();
    ASSERT_FALSE(mount.dropped(file.inode).empty());
    EXPECT_EQ(mount.dropped(file.inode).back(), Ranges::value_type(10, 3));
}

TEST(Term, TheKernelForgetsWhenARequestIsTheFirstToNotice) {
    Termed mount;
    auto file = mount.create("f");
    mount.pass(kTerm);
    mount.channel.notifications.clear();
    (void)mount.getattr(file.inode);
    mount.settle();
    EXPECT_EQ(mount.notices_of(1), 1U);
    EXPECT_TRUE(mount.epoch_was_raised());
}

TEST(Term, WritesAreDeferredOnlyWithinIt) {
    Termed mount;
    auto file = mount.create("f");
    EXPECT_EQ(mount.write(file, 0, "kept"), 0);
    EXPECT_EQ(mount.compute.count("write"), 0U);
    mount.pass(kTerm + 2 * kSecond);  // What was dirty has been sent: it is not lost.
    EXPECT_EQ(mount.content(file.inode), "kept");
    mount.compute.clear_calls();
    EXPECT_EQ(mount.write(file, 4, " through"), 0);
    EXPECT_EQ(mount.compute.count("write"), 1U);
    EXPECT_EQ(mount.content(file.inode), "kept through");

    mount.term.renew(mount.reactor.now());
    (void)mount.getattr(file.inode);
    mount.compute.clear_calls();
    EXPECT_EQ(mount.write(file, 12, ", again"), 0);
    EXPECT_EQ(mount.compute.count("write"), 0U);
    EXPECT_EQ(mount.fsync(file), 0);
    EXPECT_EQ(mount.content(file.inode), "kept through, again");
}

TEST(Term, RenewedItCoversWhatIsGrantedFromThenOn) {
    Termed mount;
    auto file = mount.create("f");
    mount.pass(kTerm);
    EXPECT_EQ(mount.getattr(file.inode).attr_valid, 0U);
    mount.term.renew(mount.reactor.now());
    EXPECT_GT(mount.getattr(file.inode).attr_valid, 0U);
    (void)mount.lookup(1, "f");  // Asks for the directory's lease again.
    EXPECT_GT(mount.lookup(1, "f").entry_valid, 0U);
    EXPECT_EQ(mount.sessions_opened, 1);
}

TEST(Term, AReplyThatTookLongerGrantsNothing) {
    Termed mount;
    auto file = mount.create("f");
    mount.compute.hold_replies("lookup");
    auto looking = mount.send(FUSE_LOOKUP, 1, MountFixture::text("f"));
    mount.pass(kTerm);
    mount.compute.unblock("lookup");
    auto entry = mount.take(looking).fixed<fuse_entry_out>();
    EXPECT_EQ(entry.nodeid, file.inode);
    EXPECT_EQ(entry.entry_valid, 0U);
    EXPECT_EQ(entry.attr_valid, 0U);
}

// The term was over meanwhile, and covers again when the reply comes.
TEST(Term, AReplyAcrossItsEndGrantsNoEntry) {
    Termed mount;
    (void)mount.create("f");
    mount.compute.hold_replies("lookup");
    auto looking = mount.send(FUSE_LOOKUP, 1, MountFixture::text("f"));
    mount.pass(kTerm);
    mount.role.term_ended();
    mount.term.renew(mount.reactor.now());
    mount.compute.unblock("lookup");
    EXPECT_EQ(mount.take(looking).fixed<fuse_entry_out>().entry_valid, 0U);
}

}  // namespace
}  // namespace weft::frontend
