#!/usr/bin/env python3
"""Runs the POSIX suite on a fresh ext4 and on a given directory, and prints where they differ.

    compare.py DIR [--suite posix_suite] [--filter TEXT] [--quick]

Differences named in explained.toml beside this file are allowed; any other makes the exit status 1.
A name there may end in "*". Needs root: it makes an ext4 image and mounts it.
"""

import argparse
import concurrent.futures
import contextlib
import fnmatch
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
IMAGE_BYTES = 4 << 30


@contextlib.contextmanager
def fresh_ext4():
    """Gives a directory with an empty ext4 mounted on it."""
    with tempfile.TemporaryDirectory(prefix="posix_suite.") as folder:
        image = pathlib.Path(folder) / "image"
        mount = pathlib.Path(folder) / "mount"
        mount.mkdir()
        with open(image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-I", "256", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, mount], check=True)
        try:
            # Other users must be able to reach it.
            pathlib.Path(folder).chmod(0o755)
            yield mount
        finally:
            subprocess.run(["umount", mount], check=True)


def outcomes_on(directory, suite, options):
    """Runs the suite and gives its checks by name."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [suite, directory, "--json", file.name, *options]
        status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
        if status not in (0, 1):
            sys.exit(f"compare.py: {suite} ended with {status}")
        checks = json.load(open(file.name))["checks"]
    return {check["name"]: check for check in checks}


def explained_names():
    """Reads the lines `"name" = "reason"`; no more of TOML is used there."""
    names = {}
    for number, line in enumerate((HERE / "explained.toml").read_text().splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, reason = line.partition("=")
        name, reason = name.strip().strip('"'), reason.strip().strip('"')
        if not (name and equals and reason):
            sys.exit(f'explained.toml:{number}: expected "name" = "reason"')
        names[name] = reason
    return names


def hidden_by_failure(name, checks):
    """Whether a check could not be made because what goes before it failed, which is told once."""
    parts = name.split(".")
    for length in range(1, len(parts)):
        scope = ".".join(parts[:length])
        if any(f"{scope}.{cause}" in checks for cause in ("setup", "deadline", "alive", "child")):
            return True
    return False


def describe(check):
    if check is None:
        return "not made"
    if check["passed"]:
        return "ok"
    return f"expected {check['expected']}, got {check['got']} ({check['where']})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory")
    parser.add_argument("--suite", default="posix_suite", help="path of the program")
    parser.add_argument("--filter", default="", help="sections whose name holds this")
    parser.add_argument("--quick", action="store_true", help="without slow sections")
    arguments = parser.parse_args()
    options = ["--filter", arguments.filter] + (["--quick"] if arguments.quick else [])

    # Side by side: they hardly share anything but the machine.
    with fresh_ext4() as ext4, concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [pool.submit(outcomes_on, directory, arguments.suite, options)
                for directory in (ext4, arguments.directory)]
        reference, tested = (run.result() for run in runs)

    explained = explained_names()
    used = set()
    differences = unexplained = hidden = 0
    for name in sorted(reference.keys() | tested.keys()):
        one, other = reference.get(name), tested.get(name)
        if one and other and (one["passed"], one["got"]) == (other["passed"], other["got"]):
            continue
        # Passing with different words, as a byte count in another size, is no difference.
        if one and other and one["passed"] and other["passed"]:
            continue
        if (one is None and hidden_by_failure(name, reference)) or (
            other is None and hidden_by_failure(name, tested)
        ):
            hidden += 1
            continue
        differences += 1
        patterns = [pattern for pattern in explained if fnmatch.fnmatchcase(name, pattern)]
        used.update(patterns)
        if patterns:
            continue
        unexplained += 1
        print(f"{name}\n    ext4: {describe(one)}\n    here: {describe(other)}")

    for name in sorted(explained.keys() - used):
        if not arguments.filter:
            print(f"explained.toml: {name} does not differ any more")
    print(
        f"{len(tested)} checks, {differences} differ, {unexplained} unexplained, "
        f"{hidden} not made because one of these failed before them"
    )
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
