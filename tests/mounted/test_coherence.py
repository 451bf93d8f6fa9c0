"""Two mounts of one filesystem, each in a process of its own, are one filesystem at any moment."""

import contextlib
import ctypes
import fcntl
import mmap
import os
import random
import shutil
import signal
import stat
import subprocess
import threading
import time

from cluster import (MIB, Failure, Skip, abort_mount, deadline, expect, in_child, in_children, is_pending,
                     is_running, need, poll, run, state_of)

RECALL_SECONDS = 2  # A client that does not answer costs the others that long.
LOCK_SECONDS = 10
SYS_GETDENTS64 = {"x86_64": 217, "aarch64": 61}


class Pair:
    """A cluster, and two mounts of its filesystem beside the cluster's own."""

    def __init__(self, world, **settings):
        self.cluster = world.cluster(**settings)
        self.a, self.b = self.cluster.folder / "a", self.cluster.folder / "b"
        self.pid_a = self.pid_b = 0

    def __enter__(self):
        self.cluster.__enter__()
        try:
            self.cluster.start()
            self.pid_a = self.cluster.mount_apart(self.a)
            self.pid_b = self.cluster.mount_apart(self.b)
        except BaseException as error:
            self.cluster.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                for path, pid in ((self.a, self.pid_a), (self.b, self.pid_b)):
                    expect(is_running(pid), f"the process of {path} died by itself")
                    self.cluster.command("umount", path)
                    expect(not is_running(pid), "a process outlives its mount")
                self.cluster.expect_clean("at the end")
        finally:
            for log in (self.cluster.home / "mounts").glob("*.log"):
                if kind is not None and kind is not Skip:
                    print(f"-- {log}\n{log.read_text(errors='replace')[-2000:]}")
            self.cluster.__exit__(kind, error, trace)


def open_file(path, flags=os.O_RDWR | os.O_CREAT):
    return os.open(path, flags, 0o644)


def test_each_sees_what_the_other_did(world):
    with Pair(world) as pair:
        for one, other in ((pair.a, pair.b), (pair.b, pair.a)):
            look_at_every_change(one, other)


def look_at_every_change(one, other):
    """Every call has returned in `one` when `other` looks, and has looked before."""
    file = open_file(one / "file")
    seen = open_file(other / "file")
    for number in range(50):
        data = os.urandom(1 + number * 37)
        os.pwrite(file, data, number * 5000)
        expect(os.pread(seen, len(data), number * 5000) == data, f"write {number} is not seen")
        expect(os.fstat(seen).st_size == number * 5000 + len(data), f"size {number} is not seen")
        answer = os.urandom(100)
        os.pwrite(seen, answer, number * 5000)
        expect(os.pread(file, 100, number * 5000)[:100] == answer, f"answer {number} is not seen")
    for size in (100_000, 3, 0, 70_000):
        os.ftruncate(file, size)
        expect(os.fstat(seen).st_size == size, "a truncation is not seen")
        expect(os.stat(other / "file").st_size == size, "a truncation is not seen by path")
    expect(os.pread(seen, 70_000, 0) == bytes(70_000), "what was cut off is back")
    os.fchmod(file, 0o640)
    expect(stat.S_IMODE(os.stat(other / "file").st_mode) == 0o640, "chmod is not seen")
    os.chown(one / "file", 12, 34)
    about = os.fstat(seen)
    expect((about.st_uid, about.st_gid) == (12, 34), "chown is not seen")
    os.utime(one / "file", ns=(10 ** 18, 2 * 10 ** 18))
    expect(os.fstat(seen).st_mtime_ns == 2 * 10 ** 18, "utimes is not seen")
    os.setxattr(one / "file", "user.key", b"value")
    expect(os.getxattr(other / "file", "user.key") == b"value", "an xattr is not seen")
    os.removexattr(one / "file", "user.key")
    expect("user.key" not in os.listxattr(other / "file"), "an xattr is still seen")
    os.close(file)
    os.close(seen)
    look_at_names(one, other)


def look_at_names(one, other):
    for number in range(20):
        folder = f"folder{number}"
        expect(not (other / folder).exists(), "there too early")
        os.mkdir(one / folder)
        expect(os.listdir(other / folder) == [], "a new folder is not seen")
        os.mkdir(other / folder / "inner")
        expect(os.listdir(one / folder) == ["inner"], "an inner folder is not seen")
        os.rename(one / "file", one / folder / "moved")
        expect(not (other / "file").exists(), "the old name is still seen")
        expect((other / folder / "moved").exists(), "the new name is not seen")
        expect(sorted(os.listdir(other / folder)) == ["inner", "moved"], "the listing is old")
        os.link(one / folder / "moved", one / "file")
        expect((other / "file").stat().st_nlink == 2, "a link is not counted")
        os.symlink("file", one / f"link{number}")
        expect(os.readlink(other / f"link{number}") == "file", "a symlink is not seen")
        os.unlink(one / folder / "moved")
        expect((other / "file").stat().st_nlink == 1, "a link is still counted")
        os.rmdir(other / folder / "inner")
        os.rmdir(one / folder)
        expect(not (other / folder).exists(), "a removed folder is still seen")
        os.unlink(other / f"link{number}")
        expect(not os.path.lexists(one / f"link{number}"), "a removed symlink is still seen")
    os.unlink(one / "file")
    expect(os.listdir(other) == [], "something is left")


@deadline(180, 600)
def test_appends_and_locks(world):
    rounds = world.pick(150, 3000)
    with Pair(world) as pair:
        append_from_both(pair, rounds)
        count_under_lock(pair, rounds, "flock", fcntl.flock)
        count_under_lock(pair, rounds, "range", lambda file, how: fcntl.lockf(file, how, 8, 0))
        pass_a_lock_on(pair)


def append_from_both(pair, rounds: int):
    def appender(path, name: str):
        def work():
            file = open_file(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            for number in range(rounds):
                line = f"{name} {number} {'x' * (number % 211)}\n".encode()
                expect(os.write(file, line) == len(line), "a short append")
            os.close(file)
        return work

    names = ["a1", "a2", "b1", "b2"]
    in_children(*(appender((pair.a if n[0] == "a" else pair.b) / "log", n) for n in names))
    for path in (pair.a, pair.b):
        lines = (path / "log").read_text().splitlines()
        for name in names:
            mine = [int(line.split()[1]) for line in lines if line.startswith(name + " ")]
            expect(mine == list(range(rounds)), f"{name} in {path}: {len(mine)} of {rounds}")
        expect(len(lines) == len(names) * rounds, "lines of nobody")


def count_under_lock(pair, rounds: int, name: str, lock):
    """What one wrote under the lock the next one reads."""
    (pair.a / name).write_bytes(bytes(8))

    def counter(path):
        def work():
            file = os.open(path, os.O_RDWR)
            for _ in range(rounds):
                lock(file, fcntl.LOCK_EX)
                count = int.from_bytes(os.pread(file, 8, 0), "little")
                os.pwrite(file, (count + 1).to_bytes(8, "little"), 0)
                lock(file, fcntl.LOCK_UN)
        return work

    in_children(counter(pair.a / name), counter(pair.b / name), counter(pair.a / name))
    count = int.from_bytes((pair.b / name).read_bytes(), "little")
    expect(count == 3 * rounds, f"{name}: counted to {count} instead of {3 * rounds}")


def pass_a_lock_on(pair):
    mine, other = open_file(pair.a / "passed"), open_file(pair.b / "passed")
    fcntl.flock(mine, fcntl.LOCK_EX)
    expect(not try_lock(other), "two hold one flock")
    fcntl.lockf(mine, fcntl.LOCK_EX, 10, 0)
    child = os.fork()
    if child == 0:
        refused = not try_range(other, 5, 10) and try_range(other, 10, 10)
        os._exit(0 if refused else 1)
    expect(os.waitpid(child, 0)[1] == 0, "byte ranges of two mounts do not conflict as they should")
    waiter = os.fork()
    if waiter == 0:
        os.close(mine)  # Else the waiter itself would keep the lock.
        fcntl.flock(other, fcntl.LOCK_EX)
        os._exit(0)
    os.close(mine)
    poll("the waiter has the lock", lambda: os.waitpid(waiter, os.WNOHANG)[0], LOCK_SECONDS)
    os.close(other)


@deadline(180, 600)
def test_signals_while_the_cluster_is_away(world):
    """Only a program that is killed gives up; a timer's signal makes no call fail."""

    def busy(top, telling: int):
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        while not (top / "enough").exists():
            os.mkdir(top / "folder")
            os.rename(top / "folder", top / "renamed")
            os.rmdir(top / "renamed")
            os.write(telling, b"1")

    with world.cluster() as cluster:
        cluster.start()
        top = cluster.folder / "a"
        cluster.mount_apart(top)
        listening, telling = os.pipe()
        # Of its own: for an inode's lock in the kernel a killed program waits on.
        file = os.open(top / "file", os.O_RDWR | os.O_CREAT)
        worker = os.fork()
        if worker == 0:
            in_child(lambda: busy(top, telling))
        for _ in range(3):
            os.read(listening, 1)
            cluster.kill()
            about_to, saying = os.pipe()
            waiter = os.fork()
            if waiter == 0:
                in_child(lambda: (os.write(saying, b"1"), os.ftruncate(file, 1)))
            os.read(about_to, 1)
            poll("its call waits", lambda: state_of(waiter) in ("S", "D"), 10)
            os.close(about_to)
            os.close(saying)
            poll("a timer's signal comes while a call waits",
                 lambda: is_pending(worker, signal.SIGALRM), 10)
            os.kill(waiter, signal.SIGKILL)
            poll("what is killed ends", lambda: os.waitpid(waiter, os.WNOHANG)[0], 10)
            cluster.start()
        (top / "enough").touch()
        poll_child(worker)
        os.close(file)


def poll_child(child: int):
    ended = []

    def has_ended():
        ended[:] = os.waitpid(child, os.WNOHANG)
        return ended[0]

    poll("the worker is done", has_ended, 60)
    expect(ended[1] == 0, "a worker failed; see above")


@deadline(120, 300)
def test_many_wait_for_one_lock(world):
    """More than one connection serves at once: the unlock that they wait for must get through."""
    waiters = 400

    def wait_for_it(path, telling: int):
        def one():
            file = os.open(path, os.O_RDWR)
            os.write(telling, b"1")
            fcntl.flock(file, fcntl.LOCK_EX)
            os.close(file)

        threads = [threading.Thread(target=one) for _ in range(waiters)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with Pair(world) as pair:
        mine = open_file(pair.a / "file")
        fcntl.flock(mine, fcntl.LOCK_EX)
        listening, telling = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(mine)  # Else it would keep the lock.
            in_child(lambda: wait_for_it(pair.a / "file", telling))
        for _ in range(waiters):
            os.read(listening, 1)
        for number in range(100):  # Past all of them, however late they come to wait.
            expect(not (pair.a / f"other{number}").exists(), "there is a file that nobody made")
        fcntl.flock(mine, fcntl.LOCK_UN)
        poll("all had the lock", lambda: os.waitpid(child, os.WNOHANG)[0], 60)
        for file in (mine, listening, telling):
            os.close(file)


def try_lock(file) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def try_range(file, start: int, length: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        return True
    except (BlockingIOError, PermissionError):
        return False


@deadline(180, 600)
def test_one_directory_from_both(world):
    files = world.pick(400, 5000)
    with Pair(world) as pair:
        top = pair.a / "many"
        top.mkdir()

        def creator(path, name: str):
            def work():
                for number in range(files):
                    (path / f"{name}{number}").write_text(f"{name}{number}")
            return work

        in_children(creator(pair.a / "many", "a"), creator(pair.b / "many", "b"))
        expected = {f"{name}{number}" for name in "ab" for number in range(files)}
        for path in (pair.a, pair.b):
            listed = os.listdir(path / "many")
            expect(len(listed) == len(expected) and set(listed) == expected, "names differ")
        for name in sorted(expected)[::17]:
            expect((pair.a / "many" / name).read_text() == name, f"{name} has other content")
            expect((pair.b / "many" / name).read_text() == name, f"{name} has other content")
        storm_of_renames(pair, world.seed, world.pick(300, 5000))
        shutil.rmtree(pair.b / "many")
        expect(os.listdir(pair.a) == [], "a removed tree is still seen")


@deadline(300, 300)
def test_listings_in_large_pages(world):
    """However large a buffer a program brings, what a page becomes between processes has bounds."""
    files, buffer_bytes = 9000, MIB
    with Pair(world) as pair:
        top = pair.a / "many"
        top.mkdir()
        for number in range(files):
            os.mknod(top / f"{number:x}")
        (top / "link").symlink_to("x" * 4000)
        libc = ctypes.CDLL(None, use_errno=True)
        buffer = ctypes.create_string_buffer(buffer_bytes)
        folder = os.open(pair.b / "many", os.O_RDONLY)
        try:
            names, got = set(), 1
            while got > 0:
                got = libc.syscall(SYS_GETDENTS64[os.uname().machine], folder, buffer, buffer_bytes)
                expect(got >= 0, f"getdents64: {os.strerror(ctypes.get_errno())}")
                page, at = buffer.raw[:got], 0
                while at < got:
                    length = int.from_bytes(page[at + 16:at + 18], "little")
                    names.add(page[at + 19:at + length].split(b"\0")[0].decode())
                    at += length
        finally:
            os.close(folder)
        expected = {f"{number:x}" for number in range(files)} | {"link", ".", ".."}
        expect(names == expected, f"{len(names)} of {len(expected)} names are listed")


def storm_of_renames(pair, seed: int, rounds: int):
    """Files wander between names; none is lost, and none is there twice."""
    names, files = 40, 20
    for number in range(files):
        (pair.a / f"n{number}").write_text(str(number))

    def mover(path, name: str):
        def work():
            rng = random.Random(f"{seed} {name}")
            for _ in range(rounds):
                source, target = rng.sample(range(names), 2)
                with contextlib.suppress(FileNotFoundError, FileExistsError):
                    rename_no_replace(path / f"n{source}", path / f"n{target}")
        return work

    in_children(mover(pair.a, "a"), mover(pair.b, "b"), mover(pair.b, "c"))
    for path in (pair.a, pair.b):
        found = sorted(int((path / name).read_text()) for name in os.listdir(path) if name[0] == "n")
        expect(found == list(range(files)), f"after a storm of renames: {found}")
    for name in os.listdir(pair.a):
        if name != "many":
            os.unlink(pair.b / name)


def rename_no_replace(source, target):
    """renameat2(RENAME_NOREPLACE)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), 1):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def test_mapped_memory(world):
    with Pair(world) as pair:
        size = 64 * 1024
        (pair.a / "mapped").write_bytes(bytes(size))
        one, other = open_file(pair.a / "mapped"), open_file(pair.b / "mapped")
        with mmap.mmap(one, size) as mine, mmap.mmap(other, size) as its:
            for number in range(20):
                at = number * 3001
                mine[at:at + 5] = b"mine%d" % (number % 10)
                mine.flush()
                os.fsync(one)
                expect(os.pread(other, 5, at) == b"mine%d" % (number % 10), "a mapping is not seen")
                expect(its[at:at + 5] == b"mine%d" % (number % 10), "nor by the other mapping")
                its[at:at + 5] = b"back%d" % (number % 10)
                its.flush()
                os.fsync(other)
                expect(mine[at:at + 5] == b"back%d" % (number % 10), "the answer is not seen")
        os.close(one)
        os.close(other)


@deadline(180, 600)
def test_killed_client(world):
    """A client dies with locks, open files and unsent writes: the other goes on in seconds."""
    with Pair(world) as pair:
        for number in range(world.pick(3, 30)):
            kill_a_client(pair, f"file{number}")


def kill_a_client(pair, name: str):
    synced = os.urandom(200_000)
    mine = open_file(pair.a / name)
    fcntl.flock(mine, fcntl.LOCK_EX)
    fcntl.lockf(mine, fcntl.LOCK_EX)
    os.pwrite(mine, synced, 0)
    os.fsync(mine)
    os.pwrite(mine, b"deferred", len(synced))
    os.kill(pair.pid_a, signal.SIGKILL)
    poll("the killed client is gone", lambda: not is_running(pair.pid_a), 10)
    other = open_file(pair.b / name)
    poll("the lock is free", lambda: try_lock(other) and try_range(other, 0, 0), LOCK_SECONDS)
    expect(os.pread(other, len(synced), 0) == synced, "what was synced is lost")
    os.pwrite(other, b"new", 0)
    os.close(other)
    with contextlib.suppress(OSError):
        os.close(mine)
    pair.cluster.command("umount", pair.a)
    pair.pid_a = pair.cluster.mount_apart(pair.a)
    expect((pair.a / name).read_bytes()[:3] == b"new", "the new client sees old data")
    os.unlink(pair.a / name)


def pages_in_memory(fd: int, length: int) -> int:
    """Of the file's first bytes, that the kernel has cached."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    at = libc.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    pages = (ctypes.c_ubyte * ((length + 4095) // 4096))()
    done = libc.mincore(ctypes.c_void_p(at), ctypes.c_size_t(length), pages)
    error = ctypes.get_errno()
    libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(length))
    expect(done == 0, f"mincore: {os.strerror(error)}")
    return sum(page & 1 for page in pages)


@deadline(120, 120)
def test_killed_client_that_waits(world):
    """A client is killed while the cluster does not answer, the kernel is being told to forget what
    it has cached, and programs read: they end, and nothing is stuck."""
    with Pair(world) as pair:
        for name in ("read", "cached"):
            (pair.a / name).write_bytes(os.urandom(MIB))
        read, cached = (open_file(pair.a / name, os.O_RDONLY) for name in ("read", "cached"))
        os.posix_fadvise(read, 0, 0, os.POSIX_FADV_DONTNEED)
        os.pread(cached, MIB, 0)
        expect(pages_in_memory(cached, MIB) > 0, "nothing is cached")
        cluster = pair.cluster.pid()
        os.kill(cluster, signal.SIGSTOP)
        child = os.fork()
        if child == 0:
            in_child(lambda: os.pread(read, 100, MIB // 2))
        try:
            poll("the read waits for the mount", lambda: state_of(child) == "D", 10)
            poll("the kernel has been told to forget",
                 lambda: pages_in_memory(cached, MIB) == 0, 10)
            os.kill(pair.pid_a, signal.SIGKILL)
            poll("the killed client is gone", lambda: not is_running(pair.pid_a), 10)
            _, status = os.waitpid(child, 0)
            expect(status != 0, "a read that nobody answered ended well")
        finally:
            os.kill(cluster, signal.SIGCONT)
            abort_mount(pair.a)
            for file in (read, cached):
                with contextlib.suppress(OSError):
                    os.close(file)
        pair.pid_a = pair.cluster.mount_apart(pair.a)
        expect(len((pair.a / "read").read_bytes()) == MIB, "the new client reads something else")


@deadline(180, 600)
def test_stopped_client(world):
    """A client that does not answer is cut off, and finds its way back when it does."""
    with Pair(world) as pair:
        mine = open_file(pair.a / "file")
        os.pwrite(mine, b"before", 0)
        os.fsync(mine)
        os.pwrite(mine, b"unsent", 0)
        os.kill(pair.pid_a, signal.SIGSTOP)
        began = time.monotonic()
        expect((pair.b / "file").read_bytes() in (b"before", b"unsent"), "other content")
        waited = time.monotonic() - began
        expect(waited < RECALL_SECONDS + LOCK_SECONDS, f"waited {waited:.1f} s for a dead client")
        (pair.b / "file").write_bytes(b"behind")
        os.kill(pair.pid_a, signal.SIGCONT)
        poll("the client has noticed", lambda: (pair.a / "file").read_bytes() == b"behind", 10)
        expect(os.pread(mine, 6, 0) == b"behind", "an open file shows old data")
        with contextlib.suppress(OSError):  # What could not be sent is reported, once.
            os.fsync(mine)
        os.pwrite(mine, b"again", 0)
        os.fsync(mine)
        expect((pair.b / "file").read_bytes() == b"againd", "the client does not write any more")
        os.close(mine)


@deadline(240, 1800)
def test_restarts_under_mounts(world):
    """The cluster's process is killed and comes back, again and again: programs on the mounts wait,
    and what they did is done once."""
    steps = world.pick(400, 10_000)
    kills = world.pick(5, 100)
    with Pair(world) as pair:
        works = [doer(pair.a / "a", world.seed, steps), doer(pair.b / "b", world.seed + 1, steps)]
        works += [log_writer(pair.a, "a", steps), log_writer(pair.b, "b", steps)]
        works += [locker(pair.a / "locked"), locker(pair.b / "locked")]
        (pair.a / "locked").write_bytes(bytes(8))
        killer = os.fork()
        if killer == 0:
            in_child(lambda: in_children(*works, seconds=world.pick(150, 1500)))
        rng = random.Random(world.seed)
        for _ in range(kills):
            time.sleep(rng.uniform(0.1, 0.6))  # The moment is meant to be random.
            pair.cluster.kill()
            pair.cluster.start()
        (pair.a / "enough").touch()
        expect(os.waitpid(killer, 0)[1] == 0, "a worker failed; see above")
        lines = (pair.b / "log").read_text().splitlines()
        for name in "ab":
            mine = [int(line.split()[1]) for line in lines if line.startswith(name + " ")]
            written = int((pair.b / f"written-{name}").read_text())
            expect(len(mine) == written >= steps, f"{len(mine)} lines of {name}, {written} written")
            expect(mine == list(range(len(mine))), f"lines of {name}: lost, or there twice: "
                   f"{[n for i, n in enumerate(mine) if n != i][:5]} of {len(mine)}")
        world.note(f"{kills} kills, {len(lines)} appends")


def doer(top, seed: int, steps: int):
    """Each step fails if it is done twice, or not at all."""

    def work():
        rng = random.Random(seed)
        os.mkdir(top)
        for number in range(steps):
            path, moved = top / f"f{number}", top / f"g{number}"
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
            data = rng.randbytes(rng.choice([1, 100, 5000]))
            os.write(file, data)
            os.link(path, top / "link")
            os.rename(path, moved)
            os.unlink(top / "link")
            os.mkdir(path)
            os.setxattr(moved, "user.number", b"%d" % number, os.XATTR_CREATE)
            os.rmdir(path)
            expect(os.pread(file, len(data), 0) == data, "other content")
            os.close(file)
            expect(moved.read_bytes() == data, "other content by name")
            if number % 3:
                os.unlink(moved)
        left = sorted(os.listdir(top))
        expect(left == sorted(f"g{n}" for n in range(0, steps, 3)), f"{len(left)} files left")
    return work


def log_writer(top, name: str, steps: int):
    def work():
        file = open_file(top / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        number = 0
        while number < steps or not (top / "enough").exists():
            os.write(file, f"{name} {number}\n".encode())
            number += 1
        os.close(file)
        (top / f"written-{name}").write_text(str(number))
    return work


def locker(path):
    """Holds a lock across restarts: nobody else changes what it has read under it."""

    def work():
        poll("the file to lock is there", path.exists)
        file = os.open(path, os.O_RDWR)
        while not (path.parent / "enough").exists():
            fcntl.flock(file, fcntl.LOCK_EX)
            count = int.from_bytes(os.pread(file, 8, 0), "little")
            for _ in range(20):
                os.pwrite(file, (count + 1).to_bytes(8, "little"), 0)
                expect(int.from_bytes(os.pread(file, 8, 0), "little") == count + 1,
                       "somebody else writes under my lock")
                count += 1
            fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)
    return work
