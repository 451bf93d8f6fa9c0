#!/usr/bin/env python3
"""Runs the simulator many times.

simulate.py SIMULATOR                        the scenarios, then seeds 1 to 1000
simulate.py SIMULATOR --hours H [--first N]  one seed after another on all cores, from the clock's
                                             seconds or from N; says what it met
simulate.py SIMULATOR --seed N --shrink      the smallest run of the seed that fails the same way
simulate.py SIMULATOR ARGUMENT ...           as the simulator has them
"""
import collections
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

SCENARIOS = pathlib.Path(__file__).resolve().parent / "scenarios"
SEEDS = range(1, 1001)
SEEDS_TOGETHER = 25
SECONDS_MOST = 300  # For one seed: then it does not end, which is a failure too.
USAGE = 2           # What the simulator ends with if it does not run at all.
KINDS = 35          # Of operations, in sim/model/operation.h.
CLIENTS, ROUNDS = 3, 8


def run(simulator: str, *arguments: str, seeds: int = 1) -> tuple[str, str]:
    """What was wrong (the oracle; empty if nothing), and what it printed."""
    try:
        ended = subprocess.run([simulator, *arguments], capture_output=True, text=True,
                               timeout=SECONDS_MOST * seeds)
    except subprocess.TimeoutExpired:
        return "liveness", "does not end"
    text = ended.stdout + ended.stderr
    if ended.returncode == USAGE:
        sys.exit(text.rstrip())
    if failed := re.search(r"^FAILED: \[(.*?)\]", text, re.MULTILINE):
        return failed[1], text
    return ("" if ended.returncode == 0 else "own check"), text


def scenario_arguments(file: pathlib.Path) -> list[str]:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    return " ".join(lines).split()


def usual(simulator: str) -> int:
    begun = time.monotonic()
    jobs = [(file.stem, scenario_arguments(file)) for file in sorted(SCENARIOS.glob("*.txt"))]
    jobs += [(f"seeds from {first}", ["--first", str(first), "--seeds",
                                      str(min(SEEDS_TOGETHER, SEEDS.stop - first))])
             for first in SEEDS[::SEEDS_TOGETHER]]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        ended = list(pool.map(lambda job: run(simulator, *job[1], "--tally",
                                               seeds=SEEDS_TOGETHER), jobs))
    failed, met = 0, collections.Counter()
    for (name, _), (oracle, text) in zip(jobs, ended):
        met.update(tally(text))
        if oracle:
            failed += 1
            told = [line for line in text.splitlines() if not line.startswith(("run", "event", "code",
                                                                               "operation"))]
            print(f"{name}: failed\n" + "\n".join(told[-12:]), flush=True)
    seconds = time.monotonic() - begun
    print(f"simulator: {len(jobs) - len(SEEDS) // SEEDS_TOGETHER} scenarios, {len(SEEDS)} seeds, "
          f"{failed} of {len(jobs)} runs of them failed; {rate(met, seconds)}")
    return 1 if failed else 0


def tally(text: str) -> collections.Counter:
    met = collections.Counter()
    for line in text.splitlines():
        if counted := re.fullmatch(r"((?:run|event|code|operation) \w+) (\d+)", line):
            met[counted[1]] += int(counted[2])
    return met


def rate(met: collections.Counter, seconds: float) -> str:
    simulated = met["run simulated_us"] / 1e6
    return (f"{met['run operations']} operations, {met['run crashes']} crashes; "
            f"{simulated:.0f} simulated seconds in {seconds:.0f} s, "
            f"{simulated / seconds:.1f} a second")


def swarm(simulator: str, hours: float, first: int) -> int:
    begun = time.monotonic()
    print(f"seeds from {first}", flush=True)
    met, failures, seeds = collections.Counter(), collections.Counter(), 0

    def one(seed: int) -> tuple[int, str, str]:
        return seed, *run(simulator, "--seed", str(seed), "--tally")

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        waiting = {pool.submit(one, first + i) for i in range((os.cpu_count() or 2) * 2)}
        following = first + len(waiting)
        while waiting:
            done, waiting = concurrent.futures.wait(
                waiting, return_when=concurrent.futures.FIRST_COMPLETED)
            for each in done:
                seed, oracle, text = each.result()
                seeds += 1
                met.update(tally(text))
                if oracle:
                    failures[oracle] += 1
                    said = re.search(r"^FAILED: (.*)|check failed: .*", text, re.MULTILINE)
                    print(f"seed {seed}: {said[0] if said else oracle}", flush=True)
                if time.monotonic() - begun < hours * 3600:
                    waiting.add(pool.submit(one, following))
                    following += 1
    for group in ("event", "operation", "code"):
        counted = sorted((name.split()[1], count) for name, count in met.items()
                         if name.startswith(group))
        print(f"{group}s: " + ", ".join(f"{name} {count}" for name, count in counted))
    print(f"{seeds} seeds, {sum(failures.values())} failed {dict(failures) or ''}; "
          f"{rate(met, time.monotonic() - begun)}")
    return 1 if failures else 0


def shrink(simulator: str, seed: str, *bug: str) -> int:
    wanted, text = run(simulator, "--seed", seed, *bug)
    if not wanted:
        print(f"seed {seed} passes")
        return 0
    print(f"seed {seed} fails by: {wanted}", flush=True)

    def fails(cuts: list[str]) -> bool:
        return run(simulator, "--seed", seed, *bug, "--cut", ",".join(cuts))[0] == wanted

    # Fewer rounds first, then whole clients, events and kinds of operations, again and again
    # until none of them can go.
    cuts: list[str] = []
    for rounds in range(1, ROUNDS):
        if fails([f"rounds{rounds}"]):
            cuts = [f"rounds{rounds}"]
            break
    parts = (["sharers", "mounts"] + [f"client{i}" for i in range(CLIENTS)] +
             [f"event{i}" for i in range(ROUNDS)] + [f"kind{i}" for i in range(KINDS)])
    shorter = True
    while shorter:
        shorter = False
        for part in parts:
            if part not in cuts and fails(cuts + [part]):
                cuts.append(part)
                shorter = True
                print(f"without {part} it still fails", flush=True)
    text = run(simulator, "--seed", seed, *bug, *(["--cut", ",".join(cuts)] if cuts else []))[1]
    print(text.rstrip())
    return 1


def main(simulator: str, arguments: list[str]) -> int:
    options = dict(zip(arguments, arguments[1:] + [""]))
    if not arguments:
        return usual(simulator)
    if "--hours" in options:
        first = int(options.get("--first", time.time()))
        return swarm(simulator, float(options["--hours"]), first)
    if "--shrink" in options:
        bug = ["--bug", options["--bug"]] if "--bug" in options else []
        return shrink(simulator, options["--seed"], *bug)
    return subprocess.run([simulator, *arguments]).returncode


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
