#include "roles/compute/compute_testing_internal.h"

#include <algorithm>
#include <set>

namespace weft::compute {
namespace {

using Namespace = ComputeTest;

TEST_F(Namespace, ARootFolderIsWhosTheFilesystemIs) {
    settings.root_uid = 1000;
    settings.root_gid = 100;
    crash();
    constexpr FilesystemId kTheirs{2};
    ASSERT_TRUE(run(role->create_filesystem(kTheirs)).ok());
    auto theirs = run(role->getattr(caller, FileId{kTheirs, kRootInode}));
    ASSERT_TRUE(theirs.ok());
    EXPECT_EQ(theirs.value().attributes.uid, 1000U);
    EXPECT_EQ(theirs.value().attributes.gid, 100U);
    EXPECT_EQ(attributes(root()).uid, 0U);  // It was made before.
}

TEST_F(Namespace, AFileIsFoundByItsName) {
    FileId file = make_file(root(), "a");
    auto found = look_up(root(), "a");
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found.value().inode, file.inode);
    EXPECT_EQ(found.value().attributes.mode, 0100644U);
    EXPECT_EQ(found.value().attributes.nlink, 1U);
    EXPECT_EQ(look_up(root(), "b").code(), Code::not_found);
    EXPECT_EQ(make(root(), "a", 0100644).code(), Code::already_exists);
    EXPECT_EQ(attributes(root()).size, 1U);
}

TEST_F(Namespace, DirectoriesCountTheirChildren) {
    FileId directory = make_directory(root(), "d");
    FileId inner = make_directory(directory, "e");
    EXPECT_EQ(attributes(root()).nlink, 3U);
    EXPECT_EQ(attributes(directory).nlink, 3U);
    EXPECT_EQ(look_up(inner, "..").value().inode, directory.inode);
    EXPECT_EQ(look_up(inner, ".").value().inode, inner.inode);
    EXPECT_EQ(run(role->rmdir(next(), root(), "d")).code(), Code::not_empty);
    EXPECT_EQ(run(role->unlink(next(), directory, "e")).code(), Code::is_a_directory);
    EXPECT_TRUE(run(role->rmdir(next(), directory, "e")).ok());
    EXPECT_TRUE(run(role->rmdir(next(), root(), "d")).ok());
    EXPECT_EQ(attributes(root()).nlink, 2U);
    EXPECT_EQ(run(role->getattr(caller, directory)).code(), Code::stale);
}

TEST_F(Namespace, UnlinkedFilesGoWithTheirLastHandle) {
    FileId file = make_file(root(), "a");
    auto opened = run(role->open(next(), file, LeaseMode::read));
    ASSERT_TRUE(opened.ok());
    EXPECT_EQ(write(file, 0, "hello"), Code::ok);
    EXPECT_TRUE(run(role->unlink(next(), root(), "a")).ok());
    EXPECT_EQ(read(file, 0, 10), "hello");
    EXPECT_EQ(attributes(file).nlink, 0U);
    EXPECT_TRUE(run(role->release(next(), file, opened.value().handle)).ok());
    wait(kSecond);
    EXPECT_EQ(run(role->getattr(caller, file)).code(), Code::stale);
    EXPECT_EQ(usage().inodes, 1U);
    EXPECT_EQ(usage().used_blocks, 0U);
}

TEST_F(Namespace, HardLinksShareAnInode) {
    FileId file = make_file(root(), "a");
    FileId directory = make_directory(root(), "d");
    auto linked = run(role->link(next(), file, directory, "b"));
    ASSERT_TRUE(linked.ok());
    EXPECT_EQ(linked.value().attributes.nlink, 2U);
    EXPECT_EQ(run(role->link(next(), directory, root(), "c")).code(), Code::not_permitted);
    EXPECT_EQ(run(role->link(next(), file, directory, "b")).code(), Code::already_exists);
    EXPECT_TRUE(run(role->unlink(next(), root(), "a")).ok());
    EXPECT_EQ(attributes(file).nlink, 1U);
    EXPECT_EQ(look_up(directory, "b").value().inode, file.inode);
}

TEST_F(Namespace, AFileWithoutANameCanGetOne) {
    NewNode what;
    what.mode = 0600;
    auto made = run(role->create_unnamed(next(), root(), what));
    ASSERT_TRUE(made.ok());
    FileId file = id(made.value().node.inode);
    EXPECT_EQ(attributes(file).nlink, 0U);
    ASSERT_TRUE(run(role->link(next(), file, root(), "named")).ok());
    EXPECT_TRUE(run(role->release(next(), file, made.value().handle)).ok());
    wait(kSecond);
    EXPECT_EQ(look_up(root(), "named").value().attributes.nlink, 1U);

    auto lost = run(role->create_unnamed(next(), root(), what));
    ASSERT_TRUE(lost.ok());
    FileId gone = id(lost.value().node.inode);
    EXPECT_TRUE(run(role->release(next(), gone, lost.value().handle)).ok());
    wait(kSecond);
    EXPECT_EQ(run(role->getattr(caller, gone)).code(), Code::stale);
}

TEST_F(Namespace, RenameMovesReplacesAndExchanges) {
    FileId a = make_file(root(), "a");
    FileId b = make_file(root(), "b");
    FileId d = make_directory(root(), "d");
    FileId e = make_directory(root(), "e");
    EXPECT_TRUE(run(role->rename(next(), root(), "a", d, "x", {})).ok());
    EXPECT_EQ(look_up(root(), "a").code(), Code::not_found);
    EXPECT_EQ(look_up(d, "x").value().inode, a.inode);
    EXPECT_TRUE(run(role->rename(next(), root(), "b", d, "x", {})).ok());
    EXPECT_EQ(look_up(d, "x").value().inode, b.inode);
    EXPECT_EQ(attributes(d).size, 1U);
    wait(kSecond);
    EXPECT_EQ(run(role->getattr(caller, a)).code(), Code::stale);

    EXPECT_TRUE(run(role->rename(next(), root(), "d", e, "inner", {})).ok());
    EXPECT_EQ(look_up(d, "..").value().inode, e.inode);
    EXPECT_EQ(attributes(e).nlink, 3U);
    EXPECT_EQ(attributes(root()).nlink, 3U);
    EXPECT_EQ(run(role->rename(next(), root(), "e", d, "loop", {})).code(), Code::invalid);
    EXPECT_EQ(run(role->rename(next(), root(), "e", e, "loop", {})).code(), Code::invalid);

    FileId c = make_file(root(), "c");
    RenameFlags exchange;
    exchange.exchange = true;
    EXPECT_TRUE(run(role->rename(next(), root(), "c", e, "inner", exchange)).ok());
    EXPECT_EQ(look_up(root(), "c").value().inode, d.inode);
    EXPECT_EQ(look_up(e, "inner").value().inode, c.inode);
    EXPECT_EQ(look_up(d, "..").value().inode, kRootInode);
    EXPECT_EQ(attributes(e).nlink, 2U);
    EXPECT_EQ(attributes(root()).nlink, 4U);
    RenameFlags keep;
    keep.no_replace = true;
    EXPECT_EQ(run(role->rename(next(), d, "x", e, "inner", keep)).code(), Code::already_exists);
}

TEST_F(Namespace, ReaddirGivesEachNameOnceOverManyPages) {
    std::set<std::string> made{".", ".."};
    for (int i = 0; i < 300; ++i) {
        std::string name = "file" + std::to_string(i);
        made.insert(name);
        make_file(root(), name);
    }
    std::vector<std::string> found = names(root(), 700);
    EXPECT_EQ(found.size(), made.size());
    EXPECT_EQ(std::set<std::string>(found.begin(), found.end()), made);
    auto page = run(role->readdir(caller, root(), 0, 1 << 20, true));
    ASSERT_TRUE(page.ok());
    EXPECT_EQ(page.value().items.size(), made.size());
    EXPECT_EQ(page.value().items[5].node.attributes.mode, 0100644U);
}

TEST_F(Namespace, SymlinksAndSpecialFilesKeepWhatTheyAre) {
    NewNode what;
    what.mode = 0120777;
    what.symlink = "some/where";
    auto made = run(role->create(next(), root(), "s", what));
    ASSERT_TRUE(made.ok());
    EXPECT_EQ(run(role->readlink(caller, id(made.value().inode))).value(), "some/where");
    what = {};
    what.mode = 0020600;
    what.rdev = 0x103;
    auto device = run(role->create(next(), root(), "c", what));
    ASSERT_TRUE(device.ok());
    EXPECT_EQ(device.value().attributes.rdev, 0x103U);
    EXPECT_EQ(run(role->readlink(caller, id(device.value().inode))).code(), Code::invalid);
}

TEST_F(Namespace, ARequestSentTwiceIsDoneOnce) {
    NewNode what;
    what.mode = 0100644;
    Caller once = next();
    auto first = run(role->create(once, root(), "a", what));
    auto again = run(role->create(once, root(), "a", what));
    ASSERT_TRUE(first.ok());
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(first.value().inode, again.value().inode);
    Caller gone = next();
    EXPECT_TRUE(run(role->unlink(gone, root(), "a")).ok());
    EXPECT_TRUE(run(role->unlink(gone, root(), "a")).ok());
}

TEST_F(Namespace, EverythingIsThereAfterACrash) {
    FileId d = make_directory(root(), "d");
    for (int i = 0; i < 50; ++i) make_file(d, "f" + std::to_string(i));
    EXPECT_TRUE(run(role->unlink(next(), d, "f7")).ok());
    EXPECT_TRUE(run(role->rename(next(), d, "f8", root(), "moved", {})).ok());
    crash();
    EXPECT_EQ(names(d).size(), 50U);
    EXPECT_EQ(look_up(d, "f7").code(), Code::not_found);
    EXPECT_TRUE(look_up(root(), "moved").ok());
    EXPECT_EQ(attributes(d).size, 48U);
    FileId fresh = make_file(d, "fresh");
    EXPECT_NE(fresh.inode, look_up(root(), "moved").value().inode);
    restart();
    EXPECT_EQ(names(d).size(), 51U);
}

TEST_F(Namespace, AnOrphanGoesAtARestart) {
    FileId file = make_file(root(), "a");
    EXPECT_EQ(write(file, 0, std::string(200000, 'x')), Code::ok);
    ASSERT_TRUE(run(role->open(next(), file, LeaseMode::read)).ok());
    EXPECT_TRUE(run(role->unlink(next(), root(), "a")).ok());
    EXPECT_GT(usage().used_blocks, 0U);
    crash();
    wait(kSecond);
    EXPECT_EQ(usage().used_blocks, 0U);
    EXPECT_EQ(usage().inodes, 1U);
}

}  // namespace
}  // namespace weft::compute
