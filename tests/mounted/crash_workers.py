"""Load for crash tests that knows, after a crash, what may be there.

A worker changes files in a folder of its own. Before each step it says in a log outside of the
mount that it tries it, and after an fsync, up to which step all must survive. After the crash,
check() holds what is there against the log: nothing synced is lost, nothing is half done.
"""

import contextlib
import ctypes
import errno
import os
import pathlib
import random
import struct

from cluster import KIB, MIB, Failure, expect

RENAME_EXCHANGE = 2
LIBC = ctypes.CDLL(None, use_errno=True)


def exchange(one, other):
    at = ctypes.c_int(-100)  # AT_FDCWD
    if LIBC.renameat2(at, os.fsencode(one), at, os.fsencode(other), RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def sync_path(path):
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_whole(path, content: bytes):
    """A new file, durable."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        write_all(file, content)
        os.fsync(file)
    finally:
        os.close(file)


def write_all(file: int, content: bytes):
    left = memoryview(content)
    while left:
        left = left[os.write(file, left):]


def new_name(rng, taken, name_of) -> str:
    """One that nothing has: an operation on it is refused only by a filesystem that is wrong."""
    while True:
        name = name_of(rng.randrange(10**6))
        if name not in taken:
            return name


def content_of(seed, bytes_most: int) -> bytes:
    rng = random.Random(f"content {seed}")
    return rng.randbytes(rng.randrange(bytes_most + 1))


class Worker:
    def __init__(self, folder, log, seed):
        self.folder = pathlib.Path(folder)
        self.log_path = pathlib.Path(log)
        self.seed = f"{seed} {type(self).__name__} {self.folder.name}"
        self._log = -1

    def run(self):
        """Until the filesystem goes away."""
        self._log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.work(random.Random(self.seed))

    def say(self, what: str, *numbers: int):
        os.write(self._log, (" ".join([what, *map(str, numbers)]) + "\n").encode())

    def said(self) -> list:
        if not self.log_path.exists():
            return []
        lines = self.log_path.read_text().splitlines()
        return [(line.split()[0], [int(n) for n in line.split()[1:]]) for line in lines]

    def last(self, what: str, default: int = 0) -> int:
        return next((numbers[-1] for said, numbers in reversed(self.said()) if said == what),
                    default)

    def prepare(self):
        """What is there, durable, before it begins."""

    def work(self, rng):
        raise NotImplementedError

    def check(self):
        raise NotImplementedError


class Appender(Worker):
    """Appends records to files. Each file holds whole its stream's first bytes, never others."""

    file_bytes_most = 4 * MIB

    def record(self, file: int, number: int) -> bytes:
        body = content_of(f"{self.seed} {file} {number}", 20 * KIB if number % 7 else 200 * KIB)
        return struct.pack("<III", file, number, len(body)) + body

    def work(self, rng):
        for number in range(10**9):
            self.say("file", number)
            file = os.open(self.folder / f"log{number}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.fsync(file)
            sync_path(self.folder)
            self.say("named", number)
            self.fill(rng, file, number)
            os.close(file)

    def fill(self, rng, file: int, number: int):
        size = count = 0
        while size < self.file_bytes_most:
            record = self.record(number, count)
            size, count = size + len(record), count + 1
            self.say("append", number, size)
            write_all(file, record)
            if rng.random() < 0.6:
                os.fsync(file)
                self.say("synced", number, size)

    def check(self):
        tried, synced = {}, {}
        for what, numbers in self.said():
            if what == "append":
                tried[numbers[0]] = numbers[1]
            elif what == "synced":
                synced[numbers[0]] = numbers[1]
        for number in range(self.last("file", -1) + 1):
            path = self.folder / f"log{number}"
            if not path.exists():
                expect(self.last("named", -1) < number, f"{path} is lost")
                continue
            got = path.read_bytes()
            least, most = synced.get(number, 0), tried.get(number, 0)
            expect(least <= len(got) <= most, f"{path} has {len(got)} bytes; {least} were synced, "
                   f"{most} written")
            self.expect_prefix(path, number, got)

    def expect_prefix(self, path, number: int, got: bytes):
        at = count = 0
        while at < len(got):
            record = self.record(number, count)
            part = got[at:at + len(record)]
            expect(record.startswith(part), f"{path} has wrong bytes in record {count} at {at}")
            at, count = at + len(record), count + 1


class Replacer(Worker):
    """Writes new files and renames them over old ones: each name is old or new, and whole."""

    names = 6

    def content(self, version: int) -> bytes:
        return content_of(f"{self.seed} {version}", 64 * KIB)

    def prepare(self):
        (self.folder / "other").mkdir()

    def temporary(self, version: int) -> pathlib.Path:
        folder = self.folder / "other" if version % 3 == 0 else self.folder
        return folder / f"new{version}"

    def work(self, rng):
        for version in range(1, 10**9):
            temporary = self.temporary(version)
            self.say("write", version)
            write_whole(temporary, self.content(version))
            self.say("written", version)
            os.rename(temporary, self.folder / f"name{version % self.names}")
            if rng.random() < 0.5:
                sync_path(self.folder)
                sync_path(self.folder / "other")
                self.say("synced", version)

    def check(self):
        tried, written, synced = (self.last(what) for what in ("write", "written", "synced"))
        named = {}
        for path in self.folder.glob("name*"):
            name, got = int(path.name[4:]), path.read_bytes()
            versions = range(tried, 0, -1)
            version = next((v for v in versions if v % self.names == name
                            and self.content(v) == got), None)
            expect(version is not None, f"{path} is no version: {len(got)} bytes")
            named[name] = version
        for version in range(1, tried + 1):
            name, left = version % self.names, self.temporary(version).exists()
            is_named = named.get(name, 0) >= version
            expect(not (left and is_named), f"version {version} is at its old and its new name")
            expect(is_named or version > synced, f"version {version} was synced and is lost")
            expect(is_named or left or version > written, f"version {version} is nowhere")
            if left and version <= written:
                expect(self.temporary(version).read_bytes() == self.content(version),
                       f"{self.temporary(version)} was synced and is not whole")


class StateWorker(Worker):
    """Steps of one call each. What is there after a crash must be the state after some step:
    none before the last synced one, none behind the last tried one."""

    sync_chance = 0.15

    def first_state(self) -> dict:
        """Path below the folder -> what is there."""
        return {}

    def choose(self, rng, state: dict):
        """The next step; depends on nothing else."""
        raise NotImplementedError

    def after(self, state: dict, step) -> dict:
        raise NotImplementedError

    def perform(self, step):
        raise NotImplementedError

    def sync(self, state: dict):
        raise NotImplementedError

    def observe(self) -> dict:
        raise NotImplementedError

    def work(self, rng):
        state, when = self.first_state(), random.Random(f"{self.seed} when")
        for number in range(1, 10**9):
            step = self.choose(rng, state)
            self.say("try", number)
            self.perform(step)
            state = self.after(state, step)
            if when.random() < self.sync_chance:
                self.sync(state)
                self.say("synced", number)

    def check(self):
        tried, synced = self.last("try"), self.last("synced")
        seen = self.observe()
        rng, state, nearest = random.Random(self.seed), self.first_state(), None
        for number in range(tried + 1):
            if number >= synced:
                if state == seen:
                    return
                nearest = self.nearer(nearest, seen, state, number)
            if number < tried:
                state = self.after(state, self.choose(rng, state))
        wrong, number, expected = nearest
        shown = [f"{path}: expected {expected.get(path)}, found {seen.get(path)}" for path in wrong]
        raise Failure(f"{self.folder} is as after no step from {synced} (synced) to {tried} "
                      f"(tried); nearest is step {number}:\n" + "\n".join(shown[:10]))

    def nearer(self, nearest, seen: dict, state: dict, number: int):
        wrong = sorted(p for p in seen.keys() | state.keys() if seen.get(p) != state.get(p))
        return nearest if nearest and len(nearest[0]) <= len(wrong) else (wrong, number, state)


class Mover(StateWorker):
    """Files and whole directories move between directories: each is in exactly one place."""

    places = ("a", "b", "c/d")
    files, trees = 8, 4

    def first_state(self) -> dict:
        names = [f"file{n}" for n in range(self.files)] + [f"tree{n}" for n in range(self.trees)]
        return {f"{self.places[n % 3]}/{name}": name for n, name in enumerate(names)}

    def prepare(self):
        for place in self.places:
            (self.folder / place).mkdir(parents=True)
        for path, name in self.first_state().items():
            if name.startswith("file"):
                write_whole(self.folder / path, name.encode())
                continue
            (self.folder / path / "sub").mkdir(parents=True)
            for child in range(3):
                write_whole(self.folder / path / f"child{child}", f"{name} {child}".encode())
            write_whole(self.folder / path / "sub" / "leaf", name.encode())
            sync_path(self.folder / path / "sub")
            sync_path(self.folder / path)
        self.sync({})

    def choose(self, rng, state: dict):
        paths = sorted(state)
        if rng.random() < 0.2:
            return ("exchange", *rng.sample(paths, 2))
        source = rng.choice(paths)
        target = new_name(rng, state, lambda number:
                          f"{rng.choice(self.places)}/{state[source]}-{number}")
        return "move", source, target

    def after(self, state: dict, step) -> dict:
        state = dict(state)
        how, source, target = step
        if how == "exchange":
            state[source], state[target] = state[target], state[source]
        else:
            state[target] = state.pop(source)
        return state

    def perform(self, step):
        how, source, target = step
        if how == "exchange":
            exchange(self.folder / source, self.folder / target)
        else:
            os.rename(self.folder / source, self.folder / target)

    def sync(self, state: dict):
        for place in self.places:
            sync_path(self.folder / place)

    def observe(self) -> dict:
        return {f"{place}/{path.name}": self.identity(path) for place in self.places
                for path in (self.folder / place).iterdir()
                if (place, path.name) != ("c", "d")}

    def identity(self, path) -> str:
        """The name it was made with, if it is whole."""
        if path.is_file():
            return path.read_text()
        leaf = path / "sub" / "leaf"
        name = leaf.read_text() if leaf.exists() else "without leaf"
        inside = {child.name: child.read_text() for child in path.iterdir() if child.is_file()}
        whole = {f"child{child}": f"{name} {child}" for child in range(3)}
        return name if inside == whole and path.stat().st_nlink == 3 else f"{name}, not whole"


class Linker(StateWorker):
    """Hard links come and go: an inode counts its names, and goes with the last one."""

    places = ("a", "b")
    inodes = 4

    def first_state(self) -> dict:
        return {f"a/first{n}": (n, 1) for n in range(self.inodes)}

    def prepare(self):
        for place in self.places:
            (self.folder / place).mkdir()
        for path, (inode, _) in self.first_state().items():
            write_whole(self.folder / path, str(inode).encode())
        self.sync({})

    def choose(self, rng, state: dict):
        paths = sorted(state)
        path = rng.choice(paths)
        if len(paths) > 5 * self.inodes or (state[path][1] > 1 and rng.random() < 0.45):
            removable = [p for p in paths if state[p][1] > 1]
            return "unlink", rng.choice(removable), ""
        return "link", path, new_name(rng, state,
                                      lambda number: f"{rng.choice(self.places)}/n{number}")

    def after(self, state: dict, step) -> dict:
        how, path, target = step
        names = {p: inode for p, (inode, _) in state.items()}
        if how == "link":
            names[target] = names[path]
        else:
            del names[path]
        return self.counted(names)

    def counted(self, names: dict) -> dict:
        inodes = list(names.values())
        return {path: (inode, inodes.count(inode)) for path, inode in names.items()}

    def perform(self, step):
        how, path, target = step
        if how == "link":
            os.link(self.folder / path, self.folder / target)
        else:
            os.unlink(self.folder / path)

    def sync(self, state: dict):
        for place in self.places:
            sync_path(self.folder / place)

    def observe(self) -> dict:
        return {f"{place}/{path.name}": (int(path.read_text()), path.stat().st_nlink)
                for place in self.places for path in (self.folder / place).iterdir()}


class Shaper(StateWorker):
    """Directories, symbolic links, modes and extended attributes."""

    most = 25

    def choose(self, rng, state: dict):
        folders = ["."] + sorted(p for p, value in state.items() if value[0] == "folder")
        empty = [p for p in sorted(state) if not any(q.startswith(p + "/") for q in state)]
        kind = rng.choice(["mkdir", "symlink", "remove", "chmod", "setxattr", "removexattr"])
        if kind in ("mkdir", "symlink") and len(state) < self.most:
            parent = rng.choice(folders)
            prefix = kind if parent == "." else f"{parent}/{kind}"
            return kind, new_name(rng, state, lambda number: f"{prefix}{number}"), \
                rng.randrange(10**6)
        if kind == "remove" and empty:
            return kind, rng.choice(empty), 0
        if len(folders) == 1:
            return "mkdir", new_name(rng, state, lambda number: f"mkdir{number}"), 0
        path = rng.choice(folders[1:])
        if kind == "removexattr" and state[path][2] is not None:
            return kind, path, 0
        return rng.choice(["chmod", "setxattr"]), path, rng.randrange(0o1000)

    def after(self, state: dict, step) -> dict:
        state = dict(state)
        kind, path, value = step
        if kind == "mkdir":
            state[path] = ("folder", 0o755, None)
        elif kind == "symlink":
            state[path] = ("symlink", str(value), None)
        elif kind == "remove":
            del state[path]
        elif kind == "chmod":
            state[path] = ("folder", value | 0o700, state[path][2])
        else:
            state[path] = (*state[path][:2], value if kind == "setxattr" else None)
        return state

    def perform(self, step):
        kind, path, value = step
        path = self.folder / path
        if kind == "mkdir":
            os.mkdir(path, 0o755)
        elif kind == "symlink":
            os.symlink(str(value), path)
        elif kind == "remove":
            os.unlink(path) if path.is_symlink() else os.rmdir(path)
        elif kind == "chmod":
            os.chmod(path, value | 0o700)
        elif kind == "setxattr":
            os.setxattr(path, "user.value", str(value).encode())
        else:
            os.removexattr(path, "user.value")

    def sync(self, state: dict):
        sync_path(self.folder)
        for path, value in state.items():
            if value[0] == "folder":
                sync_path(self.folder / path)

    def observe(self) -> dict:
        seen = {}
        for path in self.folder.rglob("*"):
            name = str(path.relative_to(self.folder))
            if path.is_symlink():
                seen[name] = ("symlink", os.readlink(path), None)
                continue
            value = None
            with contextlib.suppress(OSError):
                value = int(os.getxattr(path, "user.value"))
            seen[name] = ("folder", path.stat().st_mode & 0o7777, value)
        return seen


class Overwriter(Worker):
    """Overwrites, truncates and extends one file. What was synced is there; a byte changed since
    is as it was or as it became, and the size is one it had since."""

    size_most = 1500 * KIB

    def prepare(self):
        write_whole(self.folder / "file", b"")

    def choose(self, rng, size: int):
        how = rng.random()
        if how < 0.15:
            return "truncate", rng.randrange(self.size_most), b""
        length = rng.choice([1, 100, 4096, 5000, 64 * KIB, 150 * KIB])
        at = rng.randrange(max(1, min(size + 8 * KIB, self.size_most - length)))
        if how < 0.4:
            at -= at % 4096
        return "write", at, rng.randbytes(length)

    def after(self, content: bytearray, step):
        how, at, data = step
        if how == "truncate":
            del content[at:]
            content.extend(bytes(at - len(content)))
        else:
            content.extend(bytes(max(0, at - len(content))))
            content[at:at + len(data)] = data

    def work(self, rng):
        file = os.open(self.folder / "file", os.O_RDWR)
        when, size = random.Random(f"{self.seed} when"), 0
        for number in range(1, 10**9):
            step = self.choose(rng, size)
            self.say("try", number)
            if step[0] == "truncate":
                os.ftruncate(file, step[1])
            elif os.pwrite(file, step[2], step[1]) != len(step[2]):
                raise OSError(errno.EIO, "a short write")
            size = step[1] if step[0] == "truncate" else max(size, step[1] + len(step[2]))
            if when.random() < 0.3:
                os.fsync(file)
                self.say("synced", number)

    def check(self):
        tried, synced = self.last("try"), self.last("synced")
        got = (self.folder / "file").read_bytes()
        rng, content, states, grown = random.Random(self.seed), bytearray(), [], False
        for number in range(tried + 1):
            if number >= synced:
                # A large write is several to the filesystem: it may end in between.
                grown |= bool(states) and len(states[-1]) < len(got) < len(content)
                states.append(bytes(content))
            if number < tried:
                self.after(content, self.choose(rng, len(content)))
        if got in states:
            return
        expect(grown or len(got) in {len(state) for state in states},
               f"{self.folder}/file has {len(got)} bytes, and had not since it was synced")
        for at in range(0, len(got), 4096):
            piece = got[at:at + 4096]
            if all(state[at:at + 4096] != piece for state in states):
                self.expect_known_bytes(at, piece, states)

    def expect_known_bytes(self, start: int, piece: bytes, states: list):
        for at, byte in enumerate(piece, start):
            # A byte beyond an end was zero when the file grew again.
            known = {state[at] if at < len(state) else 0 for state in states}
            expect(byte in known, f"{self.folder}/file has at {at} a byte it never had")


KINDS = (Appender, Replacer, Mover, Linker, Shaper, Overwriter)
