#!/usr/bin/env python3
"""Judges the simulator: does it find each planted bug, and after how many seeds?

judge.py SIMULATOR [--bound SEEDS] [--clean SEEDS] [--write FILE] [--record FILE] [BUG ...]

Runs seeds 1, 2, ... with no bug (--clean of them), of which none may fail, then with one bug after
another until a seed fails: all of them with few seeds, then those that were not found with more.
What was found goes to the record at once, and what is there is not run again as long as the
simulator is the same. With --write the table goes to FILE, after each stage. Ends with 1 if a seed
fails without a bug, or if a bug is not found within the bound.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import threading

BOUND = 400
CLEAN_TOGETHER = 50  # Seeds without a bug, until the next are begun.
STAGES = (10, 40, 120)  # Seeds; the last is the bound.
NO_BUG = "none"
# Of processor time, for one seed. How slow it is tells nothing about a bug, so such a seed is
# passed over and found nothing.
SEED_SECONDS = 120
LOOK_SECONDS = 5
HEAD = """# Planted bugs

Made by `./dev sim --judge`; do not edit. Each bug is a mistake of the kind that we make, planted
in a build of its own (`src/platform/base/planted.h`). The simulator may take {bound} seeds to find
it, from seed 1 on; without a bug seeds 1 to {clean} pass. "Found by" is the oracle that spoke first
(`docs/simulation.md`).

{found} of {all} are found{median}.

| Bug | What is wrong | Seeds | Found by |
|---|---|---|---|
"""


def processor_seconds(pid: int) -> float:
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0  # It has ended.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_seeds(command: list[str]) -> tuple[int, list[str], int | None]:
    """The last seed begun, what was printed, and the exit status; None if that seed did not end."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seed, lines, begun, endless = 0, [], 0.0, False
    ended = threading.Event()

    def watch():
        nonlocal endless
        while not ended.wait(LOOK_SECONDS):
            if processor_seconds(process.pid) - begun > SEED_SECONDS:
                endless = True
                process.kill()

    watcher = threading.Thread(target=watch)
    watcher.start()
    for line in process.stdout:
        lines.append(line.rstrip())
        if number := re.fullmatch(r"seed (\d+)", lines[-1]):
            seed, begun = int(number[1]), processor_seconds(process.pid)
    ended.set()
    watcher.join()
    status = process.wait()
    return seed, lines, None if endless else status


def judge(simulator: str, bug: str, bound: int, first: int = 1) -> dict:
    """The seed that found it (None: none did), the oracle, and what it said."""
    unended = 0
    while first <= bound:
        command = [simulator, "--first", str(first), "--seeds", str(bound + 1 - first)]
        seed, lines, status = run_seeds(command + ([] if bug == NO_BUG else ["--bug", bug]))
        if status == 2:
            sys.exit("\n".join(lines))
        if status == 0:
            break
        if status is None:
            first, unended = seed + 1, unended + 1
            continue
        spoken = next((line for line in lines if line.startswith("FAILED")), "")
        if failed := re.match(r"FAILED: \[(.*?)\] (.*)", spoken):
            return {"seed": seed, "tried": seed, "oracle": failed[1], "said": failed[2]}
        said = next((line for line in lines if "check failed" in line), lines[-1])
        return {"seed": seed, "tried": seed, "oracle": "own check", "said": said}
    return {"seed": None, "tried": bound, "oracle": "",
            "said": f"{unended} seeds did not end" if unended else ""}


class Record:
    """What this very simulator has been judged by before, a line for each bug."""

    def __init__(self, path: pathlib.Path, simulator: str):
        self.key = hashlib.sha256(pathlib.Path(simulator).read_bytes()).hexdigest()[:16]
        self.path, self.known = path, {}
        lines = path.read_text().splitlines() if path.exists() else []
        for each in map(json.loads, lines):
            if each["key"] == self.key:
                self.known[each["bug"]] = each

    def is_done(self, bug: str, bound: int) -> bool:
        judged = self.known.get(bug)
        return judged is not None and (bool(judged["seed"]) or judged["tried"] >= bound)

    def first(self, bug: str) -> int:
        return self.known[bug]["tried"] + 1 if bug in self.known else 1

    def add(self, bug: str, judged: dict):
        self.known[bug] = judged
        with self.path.open("a") as file:
            file.write(json.dumps({"key": self.key, "bug": bug, **judged}) + "\n")


def judge_none(asked, record: Record) -> bool:
    """Whether all seeds pass without a bug: only then does a failing one say something."""
    while not record.is_done(NO_BUG, asked.clean):
        begin = record.first(NO_BUG)
        end = min(begin + CLEAN_TOGETHER - 1, asked.clean)
        part = -(-(end + 1 - begin) // asked.jobs)
        parts = [(first, min(first + part - 1, end)) for first in range(begin, end + 1, part)]
        with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
            judged = list(pool.map(lambda each: judge(asked.simulator, NO_BUG, each[1], each[0]),
                                   parts))
        wrong = next((each for each in judged if each["seed"] or each["said"]), None)
        record.add(NO_BUG, wrong or judged[-1])
        if wrong:
            break
    healthy = record.known[NO_BUG]
    if not healthy["seed"] and not healthy["said"]:
        return True
    print(f"without a bug seed {healthy['seed']} fails by {healthy['oracle']}: {healthy['said']}\n"
          "that is to be mended first")
    return False


def judge_all(asked, names: list[str], record: Record, bound: int):
    def one(bug: str) -> tuple[str, dict]:
        return bug, judge(asked.simulator, bug, bound, record.first(bug))

    names = [name for name in names if not record.is_done(name, bound)]
    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
        for task in concurrent.futures.as_completed([pool.submit(one, name) for name in names]):
            bug, judged = task.result()
            record.add(bug, judged)
            print(f"{bug:34} {judged['seed'] or 'not found':>9}  {judged['oracle']:16} "
                  f"{judged['said'][:120]}", flush=True)


def table(asked, names: list[str], meaning: dict[str, str], record: Record) -> str:
    seeds = [record.known[name]["seed"] for name in names]
    found = [seed for seed in seeds if seed]
    median = f", half of them within {statistics.median_high(found)} seeds" if found else ""
    head = HEAD.format(bound=asked.bound, clean=record.known[NO_BUG]["tried"], found=len(found),
                       all=len(names), median=median)

    def row(name: str) -> str:
        judged = record.known[name]
        seeds = judged["seed"] or f"not found in {judged['tried']}"
        return f"| {name} | {meaning[name]} | {seeds} | {judged['oracle']} |"

    return head + "\n".join(map(row, names)) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("simulator")
    parser.add_argument("--bound", type=int, default=BOUND)
    parser.add_argument("--clean", type=int, default=BOUND)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--record", type=pathlib.Path)
    parser.add_argument("bugs", nargs="*")
    asked = parser.parse_intermixed_args()
    listed = subprocess.run([asked.simulator, "--bugs"], capture_output=True, text=True, check=True)
    meaning = dict(line.split("\t") for line in listed.stdout.splitlines())
    names = asked.bugs or list(meaning)
    beside = pathlib.Path(asked.simulator).parent / "judged.jsonl"
    record = Record(asked.record or beside, asked.simulator)
    if not judge_none(asked, record):
        return 1
    for bound in [*(stage for stage in STAGES if stage < asked.bound), asked.bound]:
        judge_all(asked, names, record, bound)
        if asked.write:
            asked.write.write_text(table(asked, names, meaning, record))
    missed = [name for name in names if not record.known[name]["seed"]]
    print(f"{len(names) - len(missed)} of {len(names)} planted bugs found; not: {missed}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
