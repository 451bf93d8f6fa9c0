"""What every test of real mounts stands on: a cluster in a process of its own, and plain tools.

A test is a function test_NAME(world) or test_NAME(world, cluster) in a file test_*.py here. The
second form shares one running cluster with its neighbours; the file's SHARED says how large it is.
A test ends normally if it passed, raises Failure (or anything else) if not, and Skip if it cannot
run here. It never sleeps for something to be ready: it polls with a deadline.
"""

import contextlib
import ctypes
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
LOG_TAIL_LINES = 40


class Failure(Exception):
    """What was expected did not happen; the text says what did."""


class Skip(Exception):
    """The test cannot run here; the text says why."""


def expect(condition, *what):
    if not condition:
        raise Failure(" ".join(str(part) for part in what) or "an expectation does not hold")


def deadline(short: float, long: float):
    """Seconds a test may take in a short and in a long run."""

    def mark(function):
        function.deadline_seconds = (short, long)
        return function

    return mark


def only_long(function):
    function.only_long = True
    return function


def poll(what: str, condition, seconds: float = 30, pause: float = 0.02):
    """Waits until condition() gives something true, and gives that."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"after {seconds:g} s still not: {what}")
        time.sleep(pause)


def need(*programs: str):
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise Skip("not installed: " + ", ".join(missing))


def run(*command, seconds: float = 300, code=0, **options) -> subprocess.CompletedProcess:
    """Runs a program to its end; its exit code must be `code` (None: any)."""
    command = [str(part) for part in command]
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("text", True)
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=seconds, **options)
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
        output = output.decode(errors="replace") if isinstance(output, bytes) else output
        raise Failure(f"not done after {seconds:g} s: {' '.join(command)}\n{output[-4000:]}")
    if code is not None and done.returncode != code:
        output = done.stdout
        output = output.decode(errors="replace") if isinstance(output, bytes) else output
        raise Failure(f"exit code {done.returncode} of: {' '.join(command)}\n{output[-6000:]}")
    return done


def drop_caches():
    """What the kernel cached of any file is read anew."""
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")


def digest_of_file(path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(MIB):
            digest.update(piece)
    return digest.hexdigest()


def digest_of_tree(top) -> dict:
    """Everything below `top` by relative path: kind, mode, links, and what is in it."""
    top = os.fspath(top)
    seen = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            about = os.lstat(path)
            kind = about.st_mode >> 12
            content = None
            if kind == 0o10:
                content = digest_of_file(path)
            elif kind == 0o12:
                content = os.readlink(path)
            seen[os.path.relpath(path, top)] = (about.st_mode, about.st_nlink, content)
    return seen


def differences(expected: dict, got: dict) -> str:
    names = sorted(name for name in expected.keys() | got.keys()
                   if expected.get(name) != got.get(name))
    wrong = [f"{name}: expected {expected.get(name)}, got {got.get(name)}" for name in names]
    return "\n".join(wrong[:20] + ([f"and {len(wrong) - 20} more"] if len(wrong) > 20 else []))


def expect_same_tree(expected: dict, top, when: str):
    wrong = differences(expected, digest_of_tree(top))
    expect(not wrong, f"{when}:\n{wrong}")


def make_tree(top, seed: int, files: int, bytes_most: int = 64 * KIB) -> dict:
    """Files of random content and size in some folders, with links; gives its digest."""
    rng = random.Random(seed)
    top = pathlib.Path(top)
    for number in range(files):
        folder = top / f"d{number % 7}" / f"e{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"file{number:05d}"
        path.write_bytes(rng.randbytes(rng.choice([0, 1, 100, 4096, 5000, bytes_most])))
        if number % 10 == 0:
            (folder / f"symlink{number:05d}").symlink_to(path.name)
            os.link(path, folder / f"hardlink{number:05d}")
    return digest_of_tree(top)


@dataclasses.dataclass
class Space:
    """What df shows, in bytes."""
    total: int
    used: int
    free: int  # Of a thin filesystem, no more than the drives have.


def space_of(path) -> Space:
    about = os.statvfs(path)
    unit = about.f_frsize
    return Space(about.f_blocks * unit, (about.f_blocks - about.f_bfree) * unit,
                 about.f_bavail * unit)


@dataclasses.dataclass
class Outcome:
    code: int
    out: str
    err: str

    def json(self):
        return json.loads(self.out)


class Cluster:
    """A cluster made by `weft demo start`, with all it has below one folder.

    As a context manager it is gone at the end, however the test ended.
    """

    def __init__(self, program, folder, drives: int = 6, drive_bytes: int = 256 * MIB,
                 scheme: str = "4+2"):
        self.program = pathlib.Path(program)
        self.folder = pathlib.Path(folder)
        self.home = self.folder / "cluster"
        self.mount = self.folder / "mount"
        self.drives = drives
        self.drive_bytes = drive_bytes
        self.scheme = scheme
        self.started_pid = 0  # Of the process that is expected to be there; 0: none is.
        self.folder.mkdir(parents=True, exist_ok=True)
        # Programs run as other users, too.
        self.folder.chmod(0o755)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and kind is not Skip:
            print(self.log_tail())
        self.clean_up()

    # The command line.

    def command(self, *arguments, seconds: float = 120, code=0, json: bool = False) -> Outcome:
        """One weft command; its exit code must be `code` (a number or several; None: any)."""
        flags = ["--json"] if json else []
        command = [str(self.program), "--cluster", str(self.home), *flags, *map(str, arguments)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Failure(f"not done after {seconds:g} s: weft {' '.join(map(str, arguments))}")
        allowed = (code,) if isinstance(code, int) else code
        if allowed is not None and done.returncode not in allowed:
            raise Failure(f"exit code {done.returncode}, not {code}, of: weft "
                          f"{' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
        return Outcome(done.returncode, done.stdout, done.stderr)

    def start_command(self) -> list:
        return [str(self.program), "--cluster", str(self.home), "demo", "start",
                "--mount", str(self.mount), "--drives", str(self.drives),
                "--drive-size", str(self.drive_bytes), "--scheme", self.scheme]

    def start(self, seconds: float = 120) -> float:
        """Starts or resumes it; gives the seconds from exec until the mount answered."""
        began = time.monotonic()
        with subprocess.Popen(self.start_command(), stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                # Not after it ended: then it must answer at once.
                while process.poll() is None and not self.answers():
                    expect(time.monotonic() < began + seconds,
                           f"nothing answers at the mount {seconds:g} s after 'weft demo start'")
                    time.sleep(0.002)
                answered = time.monotonic() - began
                output, _ = process.communicate(timeout=max(1, began + seconds - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                raise Failure(f"'weft demo start' is not done after {seconds:g} s")
            expect(process.returncode == 0, f"exit code {process.returncode} of 'weft demo start'\n"
                   f"{output}")
        expect(self.answers(), "'weft demo start' ended, but nothing answers at the mount")
        self.started_pid = self.pid()
        expect(self.started_pid != 0, "it runs, but weft.pid does not say where")
        return answered

    def stop(self):
        self.command("demo", "stop")
        self.started_pid = 0
        expect(not os.path.ismount(self.mount), "still mounted after 'weft demo stop'")

    def restart(self) -> float:
        self.stop()
        return self.start()

    def kill(self):
        """SIGKILL; returns when the process is gone."""
        pid = self.pid()
        self.started_pid = 0
        if pid:
            os.kill(pid, signal.SIGKILL)
            poll("the killed process is gone", lambda: not is_running(pid), pause=0.001)

    def mount_apart(self, path, *options, filesystem: str = "demo") -> int:
        """A mount in a process of its own; gives its process id."""
        return self.command("mount", filesystem, path, *options, json=True).json()["pid"]

    def remove(self):
        self.command("demo", "remove", "--yes")
        self.started_pid = 0

    # What it says of itself.

    def status(self) -> dict:
        return self.command("status", json=True, code=(0, 4)).json()

    def counter(self, name: str) -> int:
        return self.status()["counters"].get(name, 0)

    def doctor(self, full: bool = True, seconds: float = 600) -> list:
        flags = ["--full"] if full else []
        return self.command("doctor", *flags, json=True, code=(0, 4), seconds=seconds).json()

    def expect_clean(self, when: str, full: bool = True):
        findings = self.doctor(full)
        shown = "\n".join(f"{f['where']}: {f['what']}" for f in findings[:20])
        expect(not findings, f"doctor {when}: {len(findings)} findings\n{shown}")

    def wait_protected(self, seconds: float = 300):
        """Until no segment misses a chunk."""
        return poll("all data is fully protected",
                    lambda: self.status()["protection"]["degraded"] == 0, seconds, 0.1)

    def drive_paths(self) -> dict:
        """Path by drive number."""
        return {drive["id"]: pathlib.Path(drive["path"]) for drive in self.status()["drives"]}

    # The process and its mount.

    def answers(self) -> bool:
        try:
            there = os.stat(self.mount).st_dev != os.stat(self.folder).st_dev
            return there and os.listdir(self.mount) is not None
        except OSError:
            return False

    def pid(self) -> int:
        return pid_in(self.home / "weft.pid")

    def expect_alive(self):
        if self.started_pid:
            expect(is_running(self.started_pid), "the cluster's process died by itself")

    def log_tail(self) -> str:
        try:
            lines = (self.home / "weft.log").read_text(errors="replace").splitlines()
        except OSError:
            return f"(no {self.home}/weft.log)"
        return "\n".join([f"-- end of {self.home}/weft.log"] + lines[-LOG_TAIL_LINES:] + ["--"])

    def clean_up(self):
        self.started_pid = 0
        clean_up_below(self.folder)


def in_child(work):
    """Does it and ends this process, which has been forked for it."""
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def in_children(*works, seconds: float = 120):
    """Runs each work in a process of its own; all must end well."""
    children = {}
    for work in works:
        child = os.fork()
        if child == 0:
            in_child(work)
        children[child] = work
    wrong = []

    def all_ended():
        for child in list(children):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                del children[child]
                if status:
                    wrong.append(status)
        return not children

    try:
        poll("all workers are done", all_ended, seconds)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    expect(not wrong, f"{len(wrong)} workers failed; see above")


def pid_in(path) -> int:
    """The process a pid file names, if it runs; else 0."""
    try:
        pid = int(pathlib.Path(path).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
    return pid if is_running(pid) else 0


def mount_files_in(folder) -> list:
    mounts = pathlib.Path(folder) / "cluster" / "mounts"
    try:
        return [mounts / name for name in os.listdir(mounts) if name.endswith(".json")]
    except OSError:
        return []


def pid_in_mount_file(path) -> int:
    """The process of a mount of its own, if it runs; else 0."""
    try:
        pid = int(json.loads(pathlib.Path(path).read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return 0
    return pid if is_running(pid) else 0


def is_running(pid: int) -> bool:
    return state_of(pid) not in ("Z", "X")


def state_of(pid: int) -> str:
    """As ps shows it: "R" runs, "S" and "D" wait, "Z" and "X" are dead."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "X"
    return stat.rsplit(")", 1)[1].split()[0]


def is_pending(pid: int, number: int) -> bool:
    """Whether the signal has been sent to the process and not been taken yet."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    pending = next(line.split()[1] for line in lines if line.startswith("ShdPnd:"))
    return bool(int(pending, 16) >> (number - 1) & 1)


def mounts_below(folder) -> list:
    """Deepest first."""
    found = []
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        path = line.split()[1].replace("\\040", " ")
        if path == str(folder) or path.startswith(f"{folder}/"):
            found.append(path)
    return sorted(found, key=len, reverse=True)


def pids_below(folder) -> list:
    """Of the processes of a cluster, of a test's clusters or of a run's. Looks only where
    clusters are made, never into a mount, which may hang."""
    levels = [pathlib.Path(folder)]
    pids = []
    for _ in range(3):
        pids += [pid_in(level / "cluster" / "weft.pid") for level in levels]
        pids += [pid_in_mount_file(file) for level in levels for file in mount_files_in(level)]
        levels = [child for level in levels for child in folders_in(level)
                  if child.name not in ("cluster", "mount")]
    return [pid for pid in pids if pid]


def folders_in(folder) -> list:
    # Not by asking the folder: a mount may wait for a cluster that is gone.
    if str(folder) in mounts_below(folder) or not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return [pathlib.Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]


def abort_mount(path):
    """Ends what the kernel waits for there, and unmounts it, also while it is in use. umount(8)
    would ask the mount itself first."""
    force_and_detach = 1 | 2
    ctypes.CDLL(None).umount2(str(path).encode(), force_and_detach)


def clean_up_below(folder):
    """Ends processes, mounts and files below a folder of ours. Processes go first: a killed
    server aborts its mount, so nothing that waits on it stays stuck. If the kernel waits for what a
    program has locked in the mount before it lets the server go, the mount is aborted first."""
    for pid in pids_below(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(Failure):
            poll("the killed process is gone", lambda: not is_running(pid), 10)
    for path in mounts_below(folder):
        abort_mount(path)
    shutil.rmtree(folder, ignore_errors=True)


class World:
    """What a test is given."""

    def __init__(self, build, folder, long: bool, seed: int, notes):
        self.build = pathlib.Path(build)
        self.folder = pathlib.Path(folder)  # Its own, outside of any mount; removed after it.
        self.long = long
        self.seed = seed
        self._notes = notes
        self._clusters = 0

    def cluster(self, **settings) -> Cluster:
        """A cluster of the test's own, not started yet. To be used with `with`."""
        self._clusters += 1
        return Cluster(self.build / "weft", self.folder / f"c{self._clusters}", **settings)

    def note(self, text: str):
        """A line for the report of the run, such as a measured time."""
        self._notes.write(text + "\n")
        self._notes.flush()

    def pick(self, short, long):
        return long if self.long else short

    @functools.cached_property
    def compiler(self) -> str:
        for name in ("c++", "g++", "clang++-19"):
            if shutil.which(name):
                return name
        raise Skip("not installed: a C++ compiler")

    def compile(self, source, *libraries: str) -> pathlib.Path:
        """Builds one of the small programs beside the tests."""
        program = self.folder / pathlib.Path(source).stem
        source = pathlib.Path(__file__).resolve().parent / source
        run(self.compiler, "-std=c++20", "-O2", "-pthread", "-o", program, source, *libraries)
        return program
