"""The POSIX suite gives on a mount what it gives on ext4, but for what is explained."""

import sys

from cluster import ROOT, Failure, deadline, run


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
