"""An ordinary user's clusters and mounts, through fusermount3."""

import ctypes
import os
import pathlib
import shutil
import socket
import stat
import subprocess

from cluster import (MIB, Failure, Outcome, Skip, deadline, expect, expect_same_tree, in_children,
                     make_tree, need, run)

CLONE_NEWNS = 0x20000
USER = 65534  # nobody, and nogroup.


class Person:
    """Somebody who is not root, with a folder of their own."""

    def __init__(self, world):
        need("fusermount3")
        helper = os.stat(shutil.which("fusermount3"))
        if helper.st_uid != 0 or not helper.st_mode & stat.S_ISUID:
            raise Skip("fusermount3 is not set up for ordinary users")
        open_fuse_to_all(world.folder / "dev")
        self.home = world.folder / "home"
        self.home.mkdir()
        os.chown(self.home, USER, USER)
        # Where the build lies may be closed to others.
        self.program = world.folder / "weft"
        shutil.copy(world.build / "weft", self.program)
        self.program.chmod(0o755)

    def weft(self, *arguments, code=0) -> Outcome:
        done = subprocess.run([self.program, *map(str, arguments)], user=USER, group=USER,
                              extra_groups=[], cwd=self.home, capture_output=True, text=True,
                              env={**os.environ, "HOME": str(self.home)}, timeout=120,
                              stdin=subprocess.DEVNULL, check=False)
        expect(done.returncode == code, f"exit code {done.returncode}, not {code}, of: weft "
               f"{' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
        return Outcome(done.returncode, done.stdout, done.stderr)

    def does(self, work, *arguments):
        """In a process of the person's: root may not look into their mounts."""

        def as_the_person():
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
            os.chdir(self.home)
            work(*arguments)

        in_children(as_the_person)


def open_fuse_to_all(folder):
    """As udev does it; where that does not run, for this process and its children."""
    about = os.stat("/dev/fuse")
    if about.st_mode & 0o006 == 0o006:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise Skip(f"no mount namespace can be had: {os.strerror(ctypes.get_errno())}")
    run("mount", "--make-rprivate", "/")
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "mode=755", "weft-test", folder)
    node = folder / "fuse"
    os.mknod(node, stat.S_IFCHR | 0o666, about.st_rdev)
    node.chmod(0o666)
    run("mount", "--bind", node, "/dev/fuse")


def is_mounted(path) -> bool:
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    return any(line.split()[1] == str(path) for line in mounts)


def work_in(top, other, seed: int):
    """What a user does with a filesystem that is theirs, and with a second mount of it."""
    os.chmod(top, 0o755)
    tree = make_tree(top / "tree", seed, 100)
    expect_same_tree(tree, other / "tree", "at the other mount")
    os.rename(other / "tree", other / "moved")
    expect_same_tree(tree, top / "moved", "after a rename at the other mount")
    about = os.stat(top / "moved")
    expect((about.st_uid, about.st_gid) == (USER, USER), f"{about.st_uid}:{about.st_gid} owns it")
    with open(top / "file", "wb") as file:
        file.write(bytes(MIB))
        os.fsync(file.fileno())
    expect((other / "file").stat().st_size == MIB, "another size at the other mount")
    shutil.rmtree(other / "moved")
    os.unlink(top / "file")
    expect(not os.listdir(top) and not os.listdir(other), "something is left")


@deadline(180, 300)
def test_cluster_and_mounts_of_a_user(world):
    person = Person(world)
    with world.cluster() as cluster:
        os.chown(cluster.folder, USER, USER)
        apart = cluster.folder / "apart"
        here = ["--cluster", cluster.home]
        person.weft(*cluster.start_command()[1:])
        person.weft(*here, "mount", "demo", apart)
        expect(is_mounted(cluster.mount) and is_mounted(apart), "it says mounted, and is not")
        person.does(work_in, cluster.mount, apart, world.seed)
        person.weft(*here, "doctor", "--full")
        person.weft(*here, "umount", apart)
        expect(not is_mounted(apart), "still mounted after 'weft umount'")
        person.weft(*here, "mount", "demo", apart)
        person.weft(*here, "umount", apart)
        person.weft(*here, "demo", "stop")
        expect(not is_mounted(cluster.mount), "still mounted after 'weft demo stop'")
        person.weft(*here, "demo", "remove", "--yes")


@deadline(60, 120)
def test_places_that_nobody_names(world):
    person = Person(world)
    person.weft("demo", "start", "--drive-size", 512 * MIB)
    try:
        expect(is_mounted(person.home / "weft"), "'weft demo start' alone mounts nothing")
    finally:
        person.weft("demo", "remove", "--yes")
    expect(not is_mounted(person.home / "weft"), "still mounted after 'weft demo remove'")


@deadline(180, 300)
def test_mount_of_a_user_from_afar(world):
    """Root's cluster, by a socket of the network."""
    person = Person(world)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with world.cluster() as cluster:
        cluster.command(*cluster.start_command()[3:], "--listen", address)
        os.chmod(cluster.mount, 0o777)
        (cluster.mount / "secret").write_text("of root")
        os.chmod(cluster.mount / "secret", 0o600)
        one, two = person.home / "one", person.home / "two"
        for path in (one, two):
            person.weft("mount", "demo", path, "--at", address)
        person.does(work_on_shared, one, two, world.seed)
        expect(os.listdir(cluster.mount) == ["secret"], "something is left at root's mount")
        person.weft("mount", "demo", one, "--at", address, code=1)  # It is mounted.
        person.weft("mount", "demo", world.folder / "closed", "--at", address, code=1)
        for path in (one, two):
            person.weft("umount", path)
            expect(not is_mounted(path), "still mounted after 'weft umount'")
        cluster.expect_clean("after a user's mounts")


def work_on_shared(one, two, seed: int):
    tree = make_tree(one / "tree", seed, 50)
    expect_same_tree(tree, two / "tree", "at the other mount")
    shutil.rmtree(two / "tree")
    try:
        (one / "secret").read_text()
    except PermissionError:
        return
    raise Failure("root's secret can be read")
