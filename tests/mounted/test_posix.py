"""The POSIX suite gives on a mount what it gives on ext4, but for what is explained; a file under
random operations is what a model of it says."""

import concurrent.futures
import pathlib
import sys

from cluster import ROOT, Failure, deadline, digest_of_file, drop_caches, expect, run

EXERCISER = pathlib.Path(__file__).resolve().parent / "file_exerciser.py"


@deadline(1200, 1200)
def test_same_as_ext4(world):
    suite = world.build / "tests" / "posix" / "posix_suite"
    if not suite.exists():
        raise Failure(f"there is no {suite}; build it first")
    with world.cluster() as cluster:
        cluster.start()
        below = cluster.mount / "suite"
        below.mkdir(mode=0o755)
        done = run(sys.executable, ROOT / "tests/posix/compare.py", below, "--suite", suite,
                   *world.pick(["--quick"], []), seconds=1100, code=None)
        world.note(done.stdout.strip().splitlines()[-1])
        if done.returncode != 0:
            raise Failure(done.stdout)
        cluster.expect_alive()
        cluster.expect_clean("after the POSIX suite")


@deadline(300, 3600)
def test_random_operations(world):
    """Several files at once, with caches dropped now and then; then all of them after a restart."""
    with world.cluster() as cluster, concurrent.futures.ThreadPoolExecutor() as pool:
        cluster.start()

        def exercise(number: int) -> tuple:
            path = cluster.mount / f"file{number}"
            done = run(sys.executable, EXERCISER, path, world.seed * 1000 + number,
                       world.pick(1000, 20000), seconds=3000)
            return path, done.stdout.split()[-1]

        files = list(pool.map(exercise, range(world.pick(6, 60))))
        drop_caches()
        for when in ("with caches dropped", "after a restart"):
            for path, digest in files:
                expect(digest_of_file(path) == digest, f"{path} is another {when}")
            if when != "after a restart":
                cluster.restart()
        cluster.expect_clean("after random operations")
