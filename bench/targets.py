"""What is measured: Weft, and what else one could have, each mounted on this machine.

Each is a context manager: started at its begin, gone at its end. It says where it is mounted and
which processes serve it, so that the processor time it costs can be told.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "mounted"))

from cluster import GIB, MIB, Cluster, mounts_below, poll  # noqa: E402

ADDRESS = "10.78.0.1"  # GlusterFS refuses loopback addresses; this one lives in a namespace.
NAMESPACE = "weft-bench"


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, **options)


def write_image(path, size: int):
    """A file with all its blocks in place, as a drive has them."""
    with open(path, "wb", buffering=0) as file:
        for _ in range(size // MIB):
            file.write(bytes(MIB))
        os.fsync(file.fileno())


class Target:
    """A directory that is there already."""

    def __init__(self, name: str, mount, pids=()):
        self.name = name
        self.mount = pathlib.Path(mount)
        self._pids = list(pids)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def pids(self) -> list:
        return self._pids


class Started(Target):
    """Something we start, with all it has below one folder."""

    def __init__(self, name: str, state):
        self.folder = pathlib.Path(state) / name
        super().__init__(name, self.folder / "mount")
        self.loops = []
        self.processes = []

    def __enter__(self):
        self.mount.mkdir(parents=True)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        if os.path.ismount(self.mount):
            subprocess.run(["umount", self.mount], check=False)
        for process in self.processes:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        for path in mounts_below(self.folder):
            subprocess.run(["umount", "-l", path], check=False)
        for loop in self.loops:
            subprocess.run(["losetup", "-d", loop], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        raise NotImplementedError

    def stop(self):
        pass

    def pids(self) -> list:
        return [process.pid for process in self.processes]

    def loop(self, name: str, size: int) -> str:
        """A loop device past the page cache, over a file of its own."""
        image = self.folder / name
        write_image(image, size)
        made = subprocess.run(["losetup", "--direct-io=on", "-f", "--show", image], check=True,
                              capture_output=True, text=True)
        self.loops.append(made.stdout.strip())
        return self.loops[-1]

    def background(self, *command) -> subprocess.Popen:
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log,
                                       stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process


class Weft(Started):
    def __init__(self, state, program, total: int):
        super().__init__("weft", state)
        self.cluster = Cluster(program, self.folder, drive_bytes=total // 4)

    def start(self):
        self.cluster.start()

    def stop(self):
        self.cluster.clean_up()

    def pids(self) -> list:
        return [self.cluster.pid()]


class Ext4(Started):
    def __init__(self, state, total: int, name: str = "ext4"):
        super().__init__(name, state)
        self.total = total

    def start(self):
        self.mount_ext4(self.mount)

    def mount_ext4(self, path):
        device = self.loop("image", self.total)
        run("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0",
            device)
        run("mount", "-o", "noatime", device, path)


class Bindfs(Ext4):
    """A FUSE filesystem that passes all on to an ext4."""

    def __init__(self, state, total: int):
        super().__init__(state, total, "bindfs")

    def start(self):
        below = self.folder / "below"
        below.mkdir()
        self.mount_ext4(below)
        self.background("bindfs", "-f", "--multithreaded", below, self.mount)
        poll("bindfs is mounted", lambda: os.path.ismount(self.mount), 20)


class Gluster(Started):
    """GlusterFS, dispersed 4+2 over six bricks (xfs on a loop device each) of this machine."""

    def __init__(self, state, total: int):
        super().__init__("gluster", state)
        self.brick_bytes = max(total // 4, 600 * MIB)
        self.work = self.folder / "glusterd"

    def inside(self, *command) -> list:
        return ["nsenter", f"--net=/run/netns/{NAMESPACE}", *map(str, command)]

    def ask(self, *words):
        run(*self.inside("gluster", "--mode=script", *words))

    def start(self):
        run("ip", "netns", "add", NAMESPACE)
        run(*self.inside("ip", "link", "set", "lo", "up"))
        run(*self.inside("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"))
        bricks = [self.brick(number) for number in range(6)]
        self.work.mkdir()
        pathlib.Path("/var/run/gluster").mkdir(exist_ok=True)
        settings = self.folder / "glusterd.vol"
        settings.write_text(f"volume management\n    type mgmt/glusterd\n"
                            f"    option working-directory {self.work}\n"
                            "    option transport-type socket\n"
                            "    option transport.socket.listen-port 24007\nend-volume\n")
        self.background(*self.inside("glusterd", "-N", "-f", settings, "-l",
                                     self.folder / "glusterd.log", "-p", self.work / "pid"))
        poll("glusterd answers", lambda: subprocess.run(
            self.inside("gluster", "--mode=script", "volume", "list"), check=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0, 30, 0.2)
        self.ask("volume", "create", "bench", "disperse-data", "4", "redundancy", "2", *bricks,
                 "force")
        self.ask("volume", "start", "bench")
        self.background(*self.inside("glusterfs", "-N", f"--log-file={self.folder}/client.log",
                                     f"--volfile-server={ADDRESS}", "--volfile-id=/bench",
                                     self.mount))
        poll("GlusterFS is mounted", lambda: os.path.ismount(self.mount), 60)
        poll("GlusterFS takes files", self.takes_files, 60, 0.2)

    def brick(self, number: int) -> str:
        path = self.folder / f"brick{number}"
        path.mkdir()
        device = self.loop(f"image{number}", self.brick_bytes)
        run("mkfs.xfs", "-q", "-f", "-K", device)
        run("mount", "-o", "noatime", device, path)
        (path / "data").mkdir()
        return f"{ADDRESS}:{path}/data"

    def takes_files(self) -> bool:
        with contextlib.suppress(OSError):
            (self.mount / "probe").write_text("probe")
            (self.mount / "probe").unlink()
            return True
        return False

    def stop(self):
        for path in mounts_below(self.mount):
            subprocess.run(["umount", "-l", path], check=False)
        if self.processes:
            subprocess.run(self.inside("gluster", "--mode=script", "volume", "stop", "bench",
                                       "force"), check=False, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        for pid in self.bricks_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False)
        # What a brick's process held open goes with it.
        poll("the bricks' processes are gone", lambda: not self.bricks_pids(), 20)

    def bricks_pids(self) -> list:
        """Processes that glusterd started: they name our folder on their command line."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                ours = any(str(self.folder).encode() in word for word in words)
                if ours and words[0].rsplit(b"/", 1)[-1] in (b"glusterfsd", b"glusterfs"):
                    found.append(int(entry.name))
        return found

    def pids(self) -> list:
        return sorted(set(super().pids()) | set(self.bricks_pids()))


def all_targets(state, program, total: int, peers: bool) -> list:
    """Weft, ext4, and with `peers` what else is installed."""
    targets = [Weft(state, program, total), Ext4(state, total)]
    if peers:
        if shutil.which("bindfs"):
            targets.append(Bindfs(state, total))
        if shutil.which("glusterd") and shutil.which("mkfs.xfs"):
            targets.append(Gluster(state, total))
    return targets
