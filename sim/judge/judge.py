#!/usr/bin/env python3
"""Judges the simulator: does it find each planted bug, and after how many seeds?

judge.py SIMULATOR [--bound SEEDS] [--write FILE] [BUG ...]

Runs seeds 1, 2, ... with one bug after another planted until one fails. With --write the
table goes to FILE. Ends with 1 if a bug is not found within the bound.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

BOUND = 300
SEED_SECONDS = 120  # A seed that runs longer does not end: that is found as well.
HEAD = """# Planted bugs

Made by `./dev sim --judge`; do not edit. Each bug is a mistake of the kind that we make, planted
in a build of its own (`src/platform/base/planted.h`). The simulator has to find it within {bound}
seeds, from seed 1 on. "Found by" is the oracle that spoke first (`docs/simulation.md`).

{found} of {all} are found.

| Bug | What is wrong | Seeds | Found by |
|---|---|---|---|
"""


def judge(simulator: str, bug: str, bound: int) -> tuple[int | None, str, str]:
    """The seed that found it, the oracle, and what it said."""
    command = [simulator, "--bug", bug, "--first", "1", "--seeds", str(bound)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seed, lines, begun = 0, [], time.monotonic()
    os.set_blocking(process.stdout.fileno(), False)
    while True:
        line = process.stdout.readline()
        if line:
            lines.append(line.rstrip())
            if number := re.fullmatch(r"seed (\d+)", lines[-1]):
                seed, begun = int(number[1]), time.monotonic()
        elif process.poll() is not None:
            lines += process.stdout.read().splitlines()
            break
        elif time.monotonic() - begun > SEED_SECONDS:
            process.kill()
            process.wait()
            return seed, "liveness", "the seed does not end"
        else:
            time.sleep(0.05)
    failed = next((re.match(r"FAILED: \[(.*?)\] (.*)", line) for line in lines
                   if line.startswith("FAILED")), None)
    if failed:
        return seed, failed[1], failed[2]
    if process.returncode != 0:
        return seed, "own check", next((line for line in lines if "check failed" in line), lines[-1])
    return None, "", ""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("simulator")
    parser.add_argument("--bound", type=int, default=BOUND)
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("bugs", nargs="*")
    asked = parser.parse_args()
    listed = subprocess.run([asked.simulator, "--bugs"], capture_output=True, text=True, check=True)
    meaning = dict(line.split("\t") for line in listed.stdout.splitlines())
    names = asked.bugs or list(meaning)
    rows, missed = [], []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        tasks = {name: pool.submit(judge, asked.simulator, name, asked.bound) for name in names}
        for name, task in tasks.items():
            seed, oracle, said = task.result()
            if seed is None:
                missed.append(name)
            print(f"{name:34} {seed or 'not found':>9}  {oracle:16} {said[:120]}", flush=True)
            rows.append(f"| {name} | {meaning[name]} | {seed or 'not found'} | {oracle} |")
    print(f"{len(names) - len(missed)} of {len(names)} planted bugs found")
    if asked.write:
        head = HEAD.format(bound=asked.bound, found=len(names) - len(missed), all=len(names))
        asked.write.write_text(head + "\n".join(rows) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
