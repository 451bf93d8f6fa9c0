#!/usr/bin/env python3
"""Measures filesystems side by side, in one run, and prints one table with ratios.

    run.py                     Weft (build/release) and ext4 on a loop device
    run.py --peers             and bindfs and GlusterFS (disperse 4+2), where installed
    run.py DIR[:PID,...] ...   any directories; processor time is that of the PIDs

The machine's speed drifts: trust ratios of one run, and processor time more than rates. All of it
is buffered, as programs do it, but for the random reads and writes at depth 16, which are direct.
Needs fio; all but the last form need root.
"""

import argparse
import contextlib
import io
import json
import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import time

from targets import GIB, MIB, ROOT, Target, all_targets

STATE = pathlib.Path("/var/tmp")
TICKS = os.sysconf("SC_CLK_TCK")
PHASE_SECONDS_MOST = 20
LAYOUTS = (("1 dir, 1 thread", 1, 1), ("64 dirs, 4 threads", 64, 4))


class Cost:
    """Processor seconds of what serves a target, and of who calls it, while in a `with`."""

    def __init__(self, target, caller=None):
        self.target = target
        self.caller = caller  # A process that runs on; else those that ended within.

    def __enter__(self):
        self.began = self.now()
        return self

    def __exit__(self, *_):
        ended = self.now()
        self.serving, self.calling = (after - before for before, after in zip(self.began, ended))

    def now(self):
        serving = sum(map(processor_seconds, self.target.pids()))
        if self.caller:
            return serving, processor_seconds(self.caller.pid)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return serving, used.ru_utime + used.ru_stime


def processor_seconds(pid: int) -> float:
    with contextlib.suppress(OSError):
        words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / TICKS
    return 0


def drop_caches():
    os.sync()
    with contextlib.suppress(PermissionError):
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")


class Measurement:
    """One target's rows: name -> value. Rows whose name ends in " s" cost; others are rates."""

    def __init__(self, options, state):
        self.options = options
        self.state = state
        self.mdbench = state / "mdbench"
        self.tar = state / "small.tar"
        self.rows = {}

    def prepare(self):
        compiler = shutil.which("clang++-19") or shutil.which("c++") or sys.exit("no C++ compiler")
        subprocess.run([compiler, "-std=c++20", "-O2", "-pthread", "-o", self.mdbench,
                        ROOT / "bench" / "mdbench.cc"], check=True)
        write_tar(self.tar, 10000 if not self.options.quick else 2000)

    def measure(self, target) -> dict:
        self.rows = {}
        top = target.mount / f"bench-{os.getpid()}"
        top.mkdir()
        try:
            for name, folders, threads in LAYOUTS:
                self.metadata(target, top / "metadata", name, folders, threads)
            self.untar(target, top / "untar")
            self.streams(target, top)
            self.randoms(top)
        finally:
            subprocess.run(["rm", "-rf", top], check=False)
        return self.rows

    def metadata(self, target, folder, name: str, folders: int, threads: int):
        files = 10000 if not self.options.quick else 2000
        with subprocess.Popen([self.mdbench, folder, str(files), str(folders), str(threads),
                               str(PHASE_SECONDS_MOST)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as bench:
            while line := bench.stdout.readline():
                phase = line.split()[1]
                if phase in ("stat", "readdir"):
                    drop_caches()
                with Cost(target, bench) as cost:
                    bench.stdin.write("\n")
                    bench.stdin.flush()
                    _, _, count, seconds = bench.stdout.readline().split()
                self.rows[f"{phase}, {name} /s"] = int(count) / float(seconds)
                if phase == "create" and threads == 1:
                    self.cost("10,000 creates", cost, int(count) / 10000)
            if bench.wait() != 0:
                sys.exit(f"mdbench failed on {target.name}")

    def cost(self, of: str, cost: Cost, amount: float):
        self.rows[f"processor, {of}: serving, s"] = cost.serving / amount
        self.rows[f"processor, {of}: serving and calling, s"] = \
            (cost.serving + cost.calling) / amount

    def untar(self, target, folder):
        folder.mkdir()
        self.tar.read_bytes()  # It lies in the page cache.
        began = time.monotonic()
        subprocess.run(["tar", "-xf", self.tar, "-C", folder], check=True)
        subprocess.run(["sync", "-f", folder], check=True)
        taken = time.monotonic() - began
        self.rows["untar and syncfs, files /s"] = self.tar_files() / taken
        drop_caches()
        began = time.monotonic()
        subprocess.run(["tar", "-cf", "/dev/zero", "-C", folder, "."], check=True)
        self.rows["tar of it, cold, files /s"] = self.tar_files() / (time.monotonic() - began)
        began = time.monotonic()
        subprocess.run(["rm", "-rf", folder], check=True)
        self.rows["rm -rf of it, files /s"] = self.tar_files() / (time.monotonic() - began)

    def tar_files(self) -> int:
        return 10000 if not self.options.quick else 2000

    def file_mib(self) -> int:
        return 1024 if not self.options.quick else 256

    def fio(self, top, name: str, *options) -> dict:
        command = ["fio", f"--name={name}", f"--filename={top}/stream", "--output-format=json",
                   "--fallocate=none", "--randrepeat=0", "--norandommap", "--group_reporting",
                   f"--size={self.file_mib()}m", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]

    def streams(self, target, top):
        gib = self.file_mib() / 1024
        stream = ["--bs=1m", "--ioengine=psync"]
        with Cost(target) as cost:
            job = self.fio(top, "write", "--rw=write", "--end_fsync=1", *stream)
        seconds = max(job["job_runtime"], job["write"]["runtime"]) / 1000
        self.rows["write 1 MiB and fsync, MiB /s"] = self.file_mib() / seconds
        self.cost("GiB written", cost, gib)
        drop_caches()
        with Cost(target) as cost:
            job = self.fio(top, "cold", "--rw=read", *stream)
        self.rows["read 1 MiB, cold, MiB /s"] = job["read"]["bw_bytes"] / MIB
        self.cost("GiB read cold", cost, gib)
        job = self.fio(top, "warm", "--rw=read", "--invalidate=0", *stream)
        self.rows["read 1 MiB, warm, MiB /s"] = job["read"]["bw_bytes"] / MIB

    def randoms(self, top):
        seconds = 5 if not self.options.quick else 2
        timed = ["--bs=4k", "--time_based", f"--runtime={seconds}"]
        deep = ["--ioengine=io_uring", "--iodepth=16", "--numjobs=4", "--direct=1"]
        for name, kind, options in (
                ("random read 4 KiB, qd 1", "read", ["--ioengine=psync"]),
                ("random read 4 KiB, qd 16 x 4, direct", "read", deep),
                ("random write 4 KiB, qd 1", "write", ["--ioengine=psync", "--end_fsync=1"]),
                ("random write 4 KiB, qd 16 x 4, direct", "write", deep),
                ("random write 4 KiB and fsync, qd 1", "write", ["--ioengine=psync", "--fsync=1"])):
            drop_caches()
            job = self.fio(top, "random", f"--rw=rand{kind}", *timed, *options)
            taken = max(job["job_runtime"] / job_count(options), job[kind]["runtime"]) / 1000
            self.rows[f"{name} /s"] = job[kind]["total_ios"] / taken


def job_count(options: list) -> int:
    return next((int(o.split("=")[1]) for o in options if o.startswith("--numjobs=")), 1)


def write_tar(path, files: int):
    rng = random.Random(1)
    with tarfile.open(path, "w") as tar:
        for number in range(files):
            size = min(256 * 1024, int(rng.lognormvariate(8.3, 1.2)))
            entry = tarfile.TarInfo(f"a{number % 20}/b{number // 20 % 20}/file{number}")
            entry.size = size
            tar.addfile(entry, io.BytesIO(rng.randbytes(size)))


def ratio(row: str, ours: float, theirs: float) -> str:
    """How many times better the first target is."""
    if not ours or not theirs:
        return "-"
    better = theirs / ours if row.endswith(" s") else ours / theirs
    return f"{better:.2f}" if better < 10 else f"{better:.0f}"


def shown(value: float) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def print_table(results: dict):
    """A column for each target, and, behind each but the first, how much better the first is."""
    names = list(results)
    rows = list(dict.fromkeys(row for rows in results.values() for row in rows))
    widths = max(map(len, rows))
    head = f"{'':{widths}}" + "".join(
        f"{name:>12}" + (f"{'ratio':>8}" if index else "") for index, name in enumerate(names))
    print(head)
    for row in rows:
        line = f"{row:{widths}}"
        ours = results[names[0]].get(row)
        for index, name in enumerate(names):
            value = results[name].get(row)
            line += f"{shown(value):>12}" + (f"{ratio(row, ours, value):>8}" if index else "")
        print(line)
    if len(names) > 1:
        print(f"ratio: how many times better {names[0]} is, above 1 where it is")


def median_rows(rounds: list) -> dict:
    return {row: statistics.median(rows[row] for rows in rounds if row in rows)
            for row in rounds[0]}


def named_target(text: str) -> Target:
    path, _, pids = text.partition(":")
    return Target(os.path.basename(path.rstrip("/")) or path, path,
                  [int(pid) for pid in pids.split(",") if pid])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directories", nargs="*", metavar="DIR[:PID,...]")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--peers", action="store_true", help="bindfs and GlusterFS, too")
    parser.add_argument("--only", help="names of targets, with commas")
    parser.add_argument("--rounds", type=int, default=1, help="of all targets; prints medians")
    parser.add_argument("--quick", action="store_true", help="a fifth of the work")
    parser.add_argument("--json", type=pathlib.Path, help="write the results there, too")
    options = parser.parse_args()
    if shutil.which("fio") is None:
        sys.exit("run.py: fio is not installed")
    state = STATE / f"weft-bench-{os.getpid()}"
    state.mkdir()
    try:
        targets = [named_target(text) for text in options.directories]
        if not targets:
            total = 2 * GIB if options.quick else 6 * GIB
            targets = all_targets(state, options.build.resolve() / "weft", total, options.peers)
        if options.only:
            targets = [t for t in targets if t.name in options.only.split(",")]
        results = measure_all(options, state, targets)
    finally:
        shutil.rmtree(state, ignore_errors=True)
    print_table(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def measure_all(options, state, targets: list) -> dict:
    measurement = Measurement(options, state)
    measurement.prepare()
    rounds = {target.name: [] for target in targets}
    for number in range(options.rounds):
        for target in targets:
            print(f"round {number + 1} of {options.rounds}: {target.name}", file=sys.stderr)
            # One at a time: none shares the machine with another's background work.
            with target:
                rounds[target.name].append(measurement.measure(target))
    return {name: median_rows(measured) for name, measured in rounds.items()}


if __name__ == "__main__":
    main()
