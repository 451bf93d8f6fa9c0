#!/usr/bin/env python3
"""Tests of the real thing: real processes, real mounts, real programs on them.

    run_mounted.py BUILD [NAME ...]    BUILD is a build folder, such as build/release

Each NAME is a file (programs) or a test of it (programs.sqlite); without one, all run. Every test
has a deadline; a failed one prints what it said and the end of the cluster's log. State lies in
/var/tmp/weft-mounted-*, and is gone at the end. The last line says "N passed, N failed, N skipped".
"""

import argparse
import contextlib
import importlib
import inspect
import os
import pathlib
import random
import signal
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "mounted"))

from cluster import (Cluster, Failure, MIB, Skip, World, clean_up_below, is_running,  # noqa: E402
                     pids_below)

STATE = pathlib.Path("/var/tmp")
PREFIX = "weft-mounted-"
DEADLINE_SECONDS = (180, 1800)  # Short and long, of a test that says nothing else.
START_SECONDS = 180
SKIPPED = 77
MEMORY_MIB_MOST = 512


def why_not_here() -> str:
    if os.geteuid() != 0:
        return "mounting needs root"
    if not os.path.exists("/dev/fuse"):
        return "there is no /dev/fuse"
    return ""


class Test:
    def __init__(self, module, name: str, function):
        self.module = module
        self.file = module.__name__.removeprefix("test_")
        self.name = f"{self.file}.{name.removeprefix('test_')}"
        self.function = function
        self.deadline_seconds = getattr(function, "deadline_seconds", DEADLINE_SECONDS)
        self.only_long = getattr(function, "only_long", False)
        self.is_shared = len(inspect.signature(function).parameters) == 2


def all_tests() -> list:
    tests = []
    for file in sorted((HERE / "mounted").glob("test_*.py")):
        module = importlib.import_module(file.stem)
        functions = [(name, f) for name, f in vars(module).items() if name.startswith("test_")]
        functions.sort(key=lambda item: item[1].__code__.co_firstlineno)
        tests += [Test(module, name, function) for name, function in functions]
    return tests


def chosen_tests(names: list) -> list:
    tests = all_tests()
    unknown = [n for n in names if not any(n in (t.file, t.name) for t in tests)]
    if unknown:
        sys.exit(f"run_mounted.py: no test {', '.join(unknown)}; there are: "
                 + " ".join(test.name for test in tests))
    return [t for t in tests if not names or t.file in names or t.name in names]


def resident_bytes_most(pid: int) -> int:
    """The most a process had resident since it began."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


class Runner:
    def __init__(self, options):
        self.options = options
        self.folder = STATE / f"{PREFIX}{os.getpid()}"
        self.shared = None  # The cluster that tests of one file share, and that file's name.
        self.shared_file = ""
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.memory_most = 0

    def run(self, tests: list) -> int:
        self.remove_leftovers()
        self.folder.mkdir(mode=0o755)
        try:
            for test in tests:
                self.run_one(test)
            self.end_shared()
        finally:
            clean_up_below(self.folder)
        print(f"most memory of a cluster's process: {self.memory_most / MIB:.0f} MiB")
        print(", ".join(f"{count} {outcome}" for outcome, count in self.counts.items()))
        return 1 if self.counts["failed"] else 0

    def remove_leftovers(self):
        """Of runs that were killed."""
        for folder in STATE.glob(f"{PREFIX}*"):
            owner = folder.name.removeprefix(PREFIX)
            if not owner.isdigit() or not is_running(int(owner)):
                clean_up_below(folder)

    def run_one(self, test: Test):
        if test.only_long and not self.options.long:
            return
        began = time.monotonic()
        outcome, said, notes, memory = self.outcome_of(test)
        self.memory_most = max(self.memory_most, memory)
        if outcome == "passed" and memory > self.options.memory_mib * MIB:
            outcome = "failed"
            said += f"the cluster's process had {memory / MIB:.0f} MiB resident; "
            said += f"{self.options.memory_mib} are the most\n"
        self.counts[outcome] += 1
        print(f"{outcome:8}{test.name} ({time.monotonic() - began:.1f} s, {memory / MIB:.0f} MiB)",
              flush=True)
        for line in notes.splitlines():
            print(f"        {line}", flush=True)
        if outcome != "passed":
            for line in said.splitlines():
                print(f"    | {line}", flush=True)

    def outcome_of(self, test: Test):
        """passed, failed or skipped; what it printed; its notes; the most memory in bytes."""
        folder = self.folder / test.name
        folder.mkdir(mode=0o755)
        log, notes = self.folder / f"{test.name}.log", self.folder / f"{test.name}.notes"
        notes.touch()
        try:
            self.prepare_shared(test)
        except (Failure, OSError) as failed:
            said = f"its cluster cannot be started: {failed}\n{self.shared.log_tail()}"
            self.end_shared()
            return "failed", said, "", 0
        status, memory = self.run_child(test, folder, log, notes)
        said = log.read_text(errors="replace")
        outcome = {0: "passed", SKIPPED: "skipped"}.get(status, "failed")
        if status is None:
            said += f"still running at its deadline of {self.deadline_of(test):g} s\n"
        if test.is_shared and outcome == "passed" and not self.shared.pid():
            outcome, said = "failed", said + "the cluster's process is gone\n"
        if test.is_shared and outcome == "failed":
            said += self.shared.log_tail()
            self.end_shared()  # The next one gets a fresh cluster.
        clean_up_below(folder)
        return outcome, said, notes.read_text(), memory

    def deadline_of(self, test: Test) -> float:
        return test.deadline_seconds[1 if self.options.long else 0] * self.options.patience

    def run_child(self, test: Test, folder, log, notes):
        """Its exit status (None: stopped at the deadline), and the most memory."""
        child = os.fork()
        if child == 0:
            os._exit(self.be_child(test, folder, log, notes))
        end = time.monotonic() + self.deadline_of(test)
        status, memory = None, 0
        while status is None and time.monotonic() < end:
            memory = max(memory, self.memory_now())
            done, code = os.waitpid(child, os.WNOHANG)
            if done:
                status = os.waitstatus_to_exitcode(code)
            else:
                time.sleep(0.05)
        memory = max(memory, self.memory_now())
        if status is None:
            self.stop_child(child, folder, log, test)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # What it left running.
        return status, memory

    def stop_child(self, child: int, folder, log, test: Test):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)  # It prints where it is.
        end = time.monotonic() + 2
        while time.monotonic() < end and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.05)
        with open(log, "a") as file:
            for own in folder.glob("c[0-9]"):
                file.write(Cluster("", own).log_tail() + "\n")
        clean_up_below(folder)
        if test.is_shared:
            self.shared.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)

    def be_child(self, test: Test, folder, log, notes) -> int:
        os.setsid()
        os.chdir(folder)  # What programs leave where they run goes with it.
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        sys.stderr = os.fdopen(2, "w", buffering=1)
        signal.signal(signal.SIGTERM, raise_where_it_is)
        status = 1
        try:
            with open(notes, "a") as noted:
                world = World(self.options.build, folder, self.options.long, self.options.seed,
                              noted)
                random.seed(self.options.seed)
                test.function(*([world, self.shared] if test.is_shared else [world]))
            status = 0
        except Skip as reason:
            print(reason)
            status = SKIPPED
        except Failure as failure:
            print(f"seed {self.options.seed}: {failure}")
            frames = traceback.extract_tb(failure.__traceback__)
            print("at " + ", ".join(f"{pathlib.Path(f.filename).name}:{f.lineno}" for f in frames))
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        return status

    def prepare_shared(self, test: Test):
        if self.shared_file != test.file:
            self.end_shared()
        if not test.is_shared or self.shared is not None:
            return
        settings = getattr(test.module, "SHARED", {})
        if self.options.long:
            settings = getattr(test.module, "SHARED_LONG", settings)
        self.shared_file = test.file
        self.shared = Cluster(self.options.build / "weft", self.folder / f"{test.file}-shared",
                              **settings)
        self.shared.start(START_SECONDS)

    def end_shared(self):
        if self.shared is not None:
            self.shared.clean_up()
        self.shared, self.shared_file = None, ""

    def memory_now(self) -> int:
        return max(map(resident_bytes_most, pids_below(self.folder)), default=0)


def raise_where_it_is(_signal, _frame):
    raise Failure("stopped at its deadline")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="build folder, such as build/release")
    parser.add_argument("names", nargs="*", metavar="NAME", help="files or tests; all if none")
    parser.add_argument("--long", action="store_true", help="the full bars; takes hours")
    parser.add_argument("--list", action="store_true", help="print the tests' names and end")
    parser.add_argument("--seed", type=int, default=None, help="of what is random; printed")
    parser.add_argument("--patience", type=float, default=1, help="stretches the deadlines")
    parser.add_argument("--memory-mib", type=int, default=MEMORY_MIB_MOST,
                        help="the most a cluster's process may have resident")
    options = parser.parse_intermixed_args()
    options.build = options.build.resolve()
    if options.seed is None:
        options.seed = int(time.time()) % 1_000_000
    tests = chosen_tests(options.names)
    if options.list:
        print("\n".join(test.name for test in tests))
        return 0
    if reason := why_not_here():
        print(f"skipped, all of it: {reason}")
        print(f"0 passed, 0 failed, {len(tests)} skipped")
        return 0
    if not (options.build / "weft").exists():
        sys.exit(f"run_mounted.py: there is no {options.build}/weft; build it first")
    print(f"seed {options.seed}, {'long' if options.long else 'short'} bars", flush=True)
    # Interrupted by a person or a service: clean up as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return Runner(options).run(tests)


if __name__ == "__main__":
    sys.exit(main())
