#include "engines/namespace/acl.h"
#include "roles/compute/compute_testing_internal.h"

namespace weft::compute {
namespace {

using File = ComputeTest;

TEST_F(File, ReadsBackWhatWasWritten) {
    FileId file = make_file(root(), "a");
    EXPECT_EQ(write(file, 0, "hello"), Code::ok);
    EXPECT_EQ(write(file, 10, "world"), Code::ok);
    EXPECT_EQ(attributes(file).size, 15U);
    std::string expected("hello\0\0\0\0\0world", 15);
    EXPECT_EQ(read(file, 0, 100), expected);
    EXPECT_EQ(read(file, 15, 10), "");
    EXPECT_EQ(write(file, 0, "!", true), Code::ok);
    EXPECT_EQ(read(file, 10, 10), "world!");
    EXPECT_EQ(write(root(), 0, "x"), Code::is_a_directory);
}

TEST_F(File, WritesAcrossRegionsAreOneChange) {
    FileId file = make_file(root(), "a");
    std::string big(3 * kMiB, 'b');
    for (std::size_t i = 0; i < big.size(); i += 1000) big[i] = static_cast<char>(i / 1000);
    EXPECT_EQ(write(file, kMiB / 2 + 17, big), Code::ok);
    EXPECT_EQ(read(file, kMiB / 2 + 17, big.size() + 5), big);
    EXPECT_EQ(read(file, 0, 100), std::string(100, '\0'));
    crash();
    EXPECT_EQ(read(file, kMiB / 2 + 17, big.size()), big);
    restart();
    EXPECT_EQ(read(file, kMiB / 2 + 17, big.size()), big);
    EXPECT_EQ(attributes(file).blocks, usage().used_blocks);
}

TEST_F(File, TruncationFreesAndALaterExtensionReadsZeros) {
    FileId file = make_file(root(), "a");
    EXPECT_EQ(write(file, 0, std::string(2 * kMiB, 'a')), Code::ok);
    EXPECT_EQ(set_size(file, 5000), Code::ok);
    EXPECT_EQ(attributes(file).blocks, 2U);
    EXPECT_EQ(usage().used_blocks, 2U);
    EXPECT_EQ(set_size(file, 10000), Code::ok);
    EXPECT_EQ(read(file, 4990, 20), std::string(10, 'a') + std::string(10, '\0'));
    EXPECT_EQ(set_size(file, 0), Code::ok);
    EXPECT_EQ(attributes(file).blocks, 0U);
    EXPECT_EQ(usage().used_blocks, 0U);
    EXPECT_EQ(set_size(root(), 0), Code::is_a_directory);
}

TEST_F(File, TruncationFreesWhatWasPromisedBehindTheEndOfASparseFile) {
    FileId file = make_file(root(), "a");
    FallocateFlags behind;
    behind.keep_size = true;
    for (std::uint64_t size : {8 * kMiB, 8 * kMiB + 5000, 3 * kMiB}) {
        EXPECT_EQ(set_size(file, 8 * kMiB + 5000), Code::ok);
        EXPECT_EQ(write(file, kMiB, "data"), Code::ok);
        EXPECT_TRUE(run(role->fallocate(next(), file, 9 * kMiB, 4 * kMiB, behind)).ok());
        EXPECT_TRUE(run(role->fallocate(next(), file, 8 * kMiB + 9000, 5000, behind)).ok());
        EXPECT_EQ(attributes(file).blocks, 1U + 1024 + 2);
        EXPECT_EQ(set_size(file, size), Code::ok);
        EXPECT_EQ(attributes(file).blocks, 1U) << size;
        EXPECT_EQ(usage().used_blocks, 1U) << size;
    }
    EXPECT_EQ(read(file, kMiB, 4), "data");
}

TEST_F(File, SparseFilesOfAnySizeAreQuick) {
    FileId file = make_file(root(), "a");
    std::uint64_t far = std::uint64_t{1} << 61;
    EXPECT_EQ(set_size(file, far * 2), Code::ok);
    EXPECT_EQ(write(file, far, "here"), Code::ok);
    EXPECT_EQ(run(role->seek(caller, file, 5, true)).value(), far);
    EXPECT_EQ(run(role->seek(caller, file, 5, false)).value(), 5U);
    EXPECT_EQ(run(role->seek(caller, file, far + kMiB, true)).code(), Code::no_data);
    EXPECT_EQ(run(role->seek(caller, file, far * 2, false)).code(), Code::no_data);
    FallocateFlags punch;
    punch.punch_hole = punch.keep_size = true;
    EXPECT_TRUE(run(role->fallocate(next(), file, 0, far * 2, punch)).ok());
    EXPECT_EQ(run(role->seek(caller, file, 0, true)).code(), Code::no_data);
    EXPECT_EQ(attributes(file).blocks, 0U);
    EXPECT_EQ(set_size(file, 1), Code::ok);
    EXPECT_TRUE(run(role->unlink(next(), root(), "a")).ok());
}

TEST_F(File, FallocatePromisesPunchesAndZeroes) {
    FileId file = make_file(root(), "a");
    EXPECT_TRUE(run(role->fallocate(next(), file, 0, 3 * kMiB, {})).ok());
    EXPECT_EQ(attributes(file).size, 3 * kMiB);
    EXPECT_EQ(attributes(file).blocks, 768U);
    EXPECT_EQ(read(file, 0, 100), std::string(100, '\0'));
    EXPECT_EQ(write(file, kMiB - 100, std::string(200, 'x')), Code::ok);
    EXPECT_EQ(attributes(file).blocks, 768U);
    FallocateFlags punch;
    punch.punch_hole = punch.keep_size = true;
    EXPECT_TRUE(run(role->fallocate(next(), file, kMiB - 50, 100, punch)).ok());
    EXPECT_EQ(read(file, kMiB - 100, 200),
              std::string(50, 'x') + std::string(100, '\0') + std::string(50, 'x'));
    FallocateFlags zero;
    zero.zero_range = true;
    EXPECT_TRUE(run(role->fallocate(next(), file, kMiB - 100, 4 * kMiB, zero)).ok());
    EXPECT_EQ(attributes(file).size, 5 * kMiB - 100);
    EXPECT_EQ(read(file, kMiB - 100, 200), std::string(200, '\0'));
    punch.keep_size = false;
    EXPECT_EQ(run(role->fallocate(next(), file, 0, 1, punch)).code(), Code::not_supported);
    EXPECT_EQ(run(role->fallocate(next(), file, 0, 1024 * kMiB, {})).code(), Code::out_of_space);
    EXPECT_TRUE(run(role->unlink(next(), root(), "a")).ok());
    wait(kSecond);
    EXPECT_EQ(usage().used_blocks, 0U);
}

TEST_F(File, CopiesShareBlocksOrBytes) {
    FileId a = make_file(root(), "a");
    FileId b = make_file(root(), "b");
    std::string bytes(kMiB + 5000, 'c');
    for (std::size_t i = 0; i < bytes.size(); i += 777) bytes[i] = static_cast<char>(i);
    EXPECT_EQ(write(a, 0, bytes), Code::ok);
    EXPECT_EQ(run(role->copy_range(next(), a, 0, b, 0, 10 * kMiB)).value(), bytes.size());
    EXPECT_EQ(read(b, 0, 2 * kMiB), bytes);
    EXPECT_EQ(run(role->copy_range(next(), a, 100, b, 7, 3000)).value(), 3000U);
    EXPECT_EQ(read(b, 7, 3000), bytes.substr(100, 3000));
    EXPECT_EQ(read(b, 0, 7), bytes.substr(0, 7));
    EXPECT_EQ(run(role->copy_range(next(), a, 0, a, 10, 100)).code(), Code::invalid);
    EXPECT_EQ(run(role->copy_range(next(), a, 5 * kMiB, b, 0, 100)).value(), 0U);
    EXPECT_EQ(set_size(a, 0), Code::ok);
    EXPECT_EQ(read(b, kMiB, 5000), bytes.substr(kMiB));
    crash();
    EXPECT_EQ(read(b, kMiB, 5000), bytes.substr(kMiB));
}

TEST_F(File, ACapacityThatIsUsedUpRefusesMoreUntilSomethingGoes) {
    map.filesystems[0].capacity_bytes = kMiB;
    ++map.epoch.value;
    ASSERT_TRUE(run(role->set_map(map)).ok());
    FileId file = make_file(root(), "a");
    EXPECT_EQ(write(file, 0, std::string(kMiB, 'a')), Code::ok);
    EXPECT_EQ(write(file, kMiB, "x"), Code::out_of_space);
    EXPECT_EQ(attributes(file).size, kMiB);
    EXPECT_EQ(write(file, 100, "over"), Code::ok);
    EXPECT_EQ(usage().free_blocks, 0U);
    EXPECT_TRUE(run(role->unlink(next(), root(), "a")).ok());
    wait(kSecond);
    EXPECT_EQ(write(make_file(root(), "b"), 0, std::string(kMiB, 'b')), Code::ok);
}

// The index is on the drives, and the file has many extents in it: to find them takes a while.
TEST_F(File, WhatIsUnlinkedMakesRoomBeforeItIsFreed) {
    constexpr std::uint64_t kBlocks = 1024;
    std::string bytes(100 * kBlockBytes, 'b');
    map.filesystems[0].capacity_bytes = kBlocks * kBlockBytes + bytes.size();
    ++map.epoch.value;
    ASSERT_TRUE(run(role->set_map(map)).ok());
    FileId source = make_file(root(), "source");
    EXPECT_EQ(write(source, 0, bytes), Code::ok);
    for (std::string asked : {"write", "append", "fallocate", "copy_range"}) {
        FileId file = make_file(root(), asked);
        for (std::uint64_t block = 0; block < kBlocks; ++block) {
            ASSERT_EQ(write(file, 2 * block * kBlockBytes, "x"), Code::ok) << asked << block;
        }
        restart();
        FileId other = make_file(root(), "other");
        EXPECT_EQ(write(other, 0, "x"), Code::out_of_space);
        ASSERT_TRUE(run(role->unlink(next(), root(), asked)).ok());
        Code code = Code::ok;
        if (asked == "write") code = write(other, 0, "x");
        if (asked == "append") code = write(other, 0, "x", true);
        if (asked == "fallocate") code = run(role->fallocate(next(), other, 0, kMiB, {})).code();
        if (asked == "copy_range") {
            code = run(role->copy_range(next(), source, 0, other, 0, bytes.size())).code();
        }
        EXPECT_EQ(code, Code::ok) << asked;
        ASSERT_TRUE(run(role->unlink(next(), root(), "other")).ok());
    }
}

TEST_F(File, XattrsAreSetListedAndRemoved) {
    FileId file = make_file(root(), "a");
    EXPECT_TRUE(run(role->setxattr(next(), file, "user.a", "1", SetXattr::create)).ok());
    EXPECT_EQ(run(role->setxattr(next(), file, "user.a", "2", SetXattr::create)).code(),
              Code::already_exists);
    EXPECT_EQ(run(role->setxattr(next(), file, "user.b", "2", SetXattr::replace)).code(),
              Code::no_attribute);
    EXPECT_TRUE(
        run(role->setxattr(next(), file, "user.b", std::string(65536, 'v'), SetXattr::any)).ok());
    EXPECT_EQ(run(role->getxattr(caller, file, "user.b")).value().size(), 65536U);
    EXPECT_EQ(run(role->listxattr(caller, file)).value(),
              (std::vector<std::string>{"user.a", "user.b"}));
    EXPECT_TRUE(run(role->removexattr(next(), file, "user.a")).ok());
    EXPECT_EQ(run(role->removexattr(next(), file, "user.a")).code(), Code::no_attribute);
    EXPECT_EQ(run(role->getxattr(caller, file, "user.a")).code(), Code::no_attribute);
    EXPECT_EQ(run(role->getxattr(caller, file, "nothing.a")).code(), Code::not_supported);
}

TEST_F(File, AclsAndModesGoTogether) {
    using Tag = posix::AclEntry::Tag;
    posix::Acl acl{{Tag::owner, 6},
                   {Tag::user, 7, 1000},
                   {Tag::owning_group, 4},
                   {Tag::mask, 5},
                   {Tag::other, 0}};
    FileId file = make_file(root(), "a");
    std::string access(posix::kAccessAclName);
    EXPECT_TRUE(
        run(role->setxattr(next(), file, access, posix::encode_acl(acl), SetXattr::any)).ok());
    EXPECT_EQ(attributes(file).mode, 0100650U);
    AttributeChange change;
    change.mode = 0604;
    EXPECT_TRUE(run(role->setattr(next(), file, change)).ok());
    auto stored = posix::parse_acl(run(role->getxattr(caller, file, access)).value()).value();
    EXPECT_EQ(posix::mode_of(stored), 0604U);
    posix::Acl minimal{{Tag::owner, 7}, {Tag::owning_group, 5}, {Tag::other, 5}};
    EXPECT_TRUE(
        run(role->setxattr(next(), file, access, posix::encode_acl(minimal), SetXattr::any)).ok());
    EXPECT_EQ(run(role->getxattr(caller, file, access)).code(), Code::no_attribute);
    EXPECT_EQ(attributes(file).mode, 0100755U);

    FileId directory = make_directory(root(), "d");
    std::string defaults(posix::kDefaultAclName);
    EXPECT_EQ(
        run(role->setxattr(next(), file, defaults, posix::encode_acl(acl), SetXattr::any)).code(),
        Code::permission_denied);
    EXPECT_TRUE(
        run(role->setxattr(next(), directory, defaults, posix::encode_acl(acl), SetXattr::any))
            .ok());
    NewNode what;
    what.mode = 0100666;
    what.umask = 077;
    auto made = run(role->create(next(), directory, "f", what));
    EXPECT_EQ(made.value().attributes.mode, 0100640U);
    EXPECT_TRUE(run(role->getxattr(caller, id(made.value().inode), access)).ok());
    FileId inner = make_directory(directory, "inner");
    EXPECT_EQ(run(role->getxattr(caller, inner, defaults)).value(), posix::encode_acl(acl));
    EXPECT_TRUE(run(role->removexattr(next(), directory, defaults)).ok());
    what.umask = 022;
    EXPECT_EQ(run(role->create(next(), directory, "g", what)).value().attributes.mode, 0100644U);
}

TEST_F(File, AtimeFollowsTheRuleOfRelatime) {
    FileId file = make_file(root(), "a");
    wait(kSecond);
    EXPECT_EQ(write(file, 0, "x"), Code::ok);
    wait(kSecond);
    Timestamp before = attributes(file).atime;
    EXPECT_EQ(read(file, 0, 1), "x");
    Timestamp after = attributes(file).atime;
    EXPECT_GT(after, before);
    wait(kSecond);
    EXPECT_EQ(read(file, 0, 1), "x");
    EXPECT_EQ(attributes(file).atime, after);
    wait(10 * kSecond);
    crash();
    EXPECT_EQ(attributes(file).atime, after);
}

TEST_F(File, FsyncedBytesSurviveLossOfPower) {
    FileId file = make_file(root(), "a");
    std::string big(600000, 's');
    EXPECT_EQ(write(file, 0, big), Code::ok);
    EXPECT_EQ(write(file, 100, "small"), Code::ok);
    EXPECT_TRUE(run(role->fsync(caller, file)).ok());
    role.reset();
    drives.lose_power();
    start();
    big.replace(100, 5, "small");
    EXPECT_EQ(read(look_up(root(), "a").ok() ? file : root(), 0, 700000), big);
}

}  // namespace
}  // namespace weft::compute
