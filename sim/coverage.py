#!/usr/bin/env python3
"""How much of the product's code the simulation runs.

coverage.py BUILD [--first N] [--seeds COUNT] [--worst COUNT]

BUILD is a build folder with the instrumented simulator and weft: what only weft links counts as
not run. Prints a table by folder, the files with the most lines that never ran, the codes of errors
that no client was told, and those that no place of the product that makes one has made.
"""
import argparse
import bisect
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import simulate

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOOLS = "19"
COUNTED = ("src/engines", "src/roles")
MACHINES = ("src/platform/uring", "src/platform/process", "src/platform/fuse_device")


def profile(simulator: pathlib.Path, folder: str, first: int, seeds: int) -> tuple[str, str]:
    """Runs some seeds into profiles of their own; the oracle that spoke, and the output."""
    environment = dict(os.environ, LLVM_PROFILE_FILE=f"{folder}/{first}.profraw")
    ended = subprocess.run([simulator, "--first", str(first), "--seeds", str(seeds), "--tally"],
                           capture_output=True, text=True, env=environment)
    failed = re.search(r"^FAILED: \[(.*?)\]", ended.stdout, re.MULTILINE)
    return failed[1] if failed else "", ended.stdout


def files_of(build: pathlib.Path, merged: str) -> dict[str, dict]:
    """What llvm-cov says of each file of the product."""
    exported = subprocess.run(
        [f"llvm-cov-{TOOLS}", "export", "--skip-functions", "--skip-branches",
         f"--instr-profile={merged}", build / "sim/simulator", "--object", build / "weft"],
        check=True, capture_output=True, text=True)
    files = {os.path.relpath(file["filename"], ROOT): file
             for file in json.loads(exported.stdout)["data"][0]["files"]}
    return {path: file for path, file in files.items() if path.startswith("src/")}


def lines_of(files: dict[str, dict]) -> dict[str, tuple[int, int]]:
    """Of each file that counts: its lines, and those that ran."""
    summaries = {path: file["summary"]["lines"] for path, file in files.items()}
    return {path: (summary["count"], summary["covered"])
            for path, summary in summaries.items() if path.startswith(COUNTED)}


def ran(segments: list, line: int, column: int) -> bool:
    """Whether the region that a place lies in ever ran; segments are in the file's order."""
    at = bisect.bisect_right(segments, [line, column, float("inf")]) - 1
    return at >= 0 and bool(segments[at][3]) and segments[at][2] > 0


def makers(text: str) -> list[tuple[str, int, int]]:
    """Where a code is made: its name, line and column. Comparisons, cases and tables make none; a
    constant is made where it is used."""
    constants = dict(re.findall(r"constexpr Error (\w+)\{Code::(\w+)", text))
    names = "|".join(constants) or "$^"
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(("//", "case ")) or "constexpr Error " in line:
            continue
        for match in re.finditer(rf"(?<![=!]= )(?:\bCode::(\w+)|\b({names})\b)", line):
            found.append((match[1] or constants[match[2]], number, match.start() + 1))
    return found


def codes_made(files: dict[str, dict]) -> tuple[collections.Counter, collections.Counter]:
    """How many places make each code, and how many of them have."""
    places, made = collections.Counter(), collections.Counter()
    for path, file in files.items():
        if path.startswith(MACHINES):
            continue  # Of other machines than the simulated one.
        for code, line, column in makers((ROOT / path).read_text()):
            places[code] += 1
            made[code] += ran(file["segments"], line, column)
    return places, made


def error_codes() -> list[str]:
    text = (ROOT / "src/platform/base/result.h").read_text()
    body = re.search(r"enum class Code[^{]*\{(.*?)\n\};", text, re.DOTALL)[1]
    return [name for name in re.findall(r"^\s*(\w+)(?: = \d+)?,", body, re.MULTILINE)]


def show(name: str, count: int, covered: int):
    print(f"{name:38} {count:7} {covered:7} {100 * covered / max(count, 1):6.1f} %")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--worst", type=int, default=20, help="files to name")
    options = parser.parse_args()
    build = options.build.resolve()
    met, failed = collections.Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        each = 10
        firsts = range(options.first, options.first + options.seeds, each)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            ran = pool.map(lambda first: profile(
                build / "sim/simulator", folder, first,
                min(each, options.first + options.seeds - first)), firsts)
            for first, (oracle, text) in zip(firsts, ran):
                met.update(simulate.tally(text))
                if oracle:
                    failed += 1
                    print(f"seeds from {first}: {oracle}", flush=True)
        merged = f"{folder}/merged"
        subprocess.run([f"llvm-profdata-{TOOLS}", "merge", "-sparse", "-o", merged,
                        *sorted(pathlib.Path(folder).glob("*.profraw"))], check=True)
        files = files_of(build, merged)
    lines = lines_of(files)
    folders = collections.defaultdict(lambda: (0, 0))
    for path, (count, covered) in lines.items():
        for group in ("/".join(path.split("/")[:3]), "all"):
            before = folders[group]
            folders[group] = (before[0] + count, before[1] + covered)
    print(f"{'folder':38} {'lines':>7} {'ran':>7}")
    for group in sorted(folders, key=lambda name: (name == "all", name)):
        show(group, *folders[group])
    print(f"\nfiles with the most lines that never ran, of {options.seeds} seeds:")
    for path in sorted(lines, key=lambda path: lines[path][1] - lines[path][0])[:options.worst]:
        show(path.removeprefix("src/"), *lines[path])
    unmet = [code for code in error_codes() if code != "ok" and not met[f"code {code}"]]
    print(f"\ncodes that no answer had: {', '.join(unmet) or 'none'}")
    places, made = codes_made(files)
    print("codes made, of the places that make them: " +
          ", ".join(f"{code} {made[code]}/{places[code]}" for code in error_codes()
                    if places[code]))
    never = [code for code in error_codes() if code != "ok" and not made[code]]
    print(f"codes that were never made: {', '.join(never) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
