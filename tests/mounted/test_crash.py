"""The process dies at any moment, under load: what was synced is there, nothing is half done."""

import os
import random
import shutil
import signal
import statistics
import subprocess
import time
import traceback

from cluster import (MIB, Failure, deadline, digest_of_tree, expect, expect_same_tree, make_tree,
                     poll)
from crash_workers import KINDS

EACH_KIND = 2
DOCTOR_EVERY = 5
RESTART_SECONDS_MOST = 2.0
ENDS_SECONDS = 60


class Round:
    """Workers under load until the process dies, and then what they find."""

    def __init__(self, world, cluster, number: int):
        self.cluster = cluster
        self.folder = cluster.mount / f"round{number}"
        self.outside = world.folder / f"round{number}"
        self.outside.mkdir()
        self.dying = self.outside / "dying"
        self.rng = random.Random(f"{world.seed} round {number}")
        self.workers = []
        for kind in KINDS:
            for copy in range(EACH_KIND):
                name = f"{kind.__name__.lower()}{copy}"
                self.workers.append(kind(self.folder / name, self.outside / f"{name}.log",
                                         f"{world.seed} {number}"))

    def prepare(self):
        for worker in self.workers:
            worker.folder.mkdir(parents=True)
            worker.prepare()
        os.sync()

    def load_and_kill(self):
        children = {self.fork(worker): worker for worker in self.workers}
        poll("all workers work", lambda: all(
            w.log_path.exists() and w.log_path.stat().st_size > 100 for w in self.workers)
            or self.errors(), ENDS_SECONDS)
        # This is no waiting for something: the moment is meant to be random.
        time.sleep(self.rng.uniform(0, 1.0))
        self.dying.touch()
        self.cluster.kill()
        poll("all workers noticed that the filesystem is gone",
             lambda: not self.still_running(children), ENDS_SECONDS)
        expect(not self.errors(), self.errors())

    def fork(self, worker) -> int:
        child = os.fork()
        if child:
            return child
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            worker.run()
        except OSError:
            if not self.dying.exists():
                worker.log_path.with_suffix(".error").write_text(traceback.format_exc())
        except BaseException:
            worker.log_path.with_suffix(".error").write_text(traceback.format_exc())
        os._exit(0)

    def still_running(self, children: dict) -> bool:
        for child in list(children):
            if os.waitpid(child, os.WNOHANG)[0]:
                del children[child]
        return bool(children)

    def errors(self) -> str:
        return "\n".join(path.read_text() for path in self.outside.glob("*.error"))

    def check(self):
        wrong = []
        for worker in self.workers:
            try:
                worker.check()
            except (Failure, OSError, ValueError) as failure:
                wrong.append(f"{worker.folder.name}: {failure}")
        expect(not wrong, "\n".join(wrong))

    def steps(self) -> int:
        return sum(len(worker.said()) for worker in self.workers)

    def remove(self):
        shutil.rmtree(self.folder)
        shutil.rmtree(self.outside)


def kill_while_starting(cluster, rng):
    """The recovery does not end, either."""
    with subprocess.Popen(cluster.start_command(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        poll("the process is there", lambda: cluster.pid() or process.poll() is not None, 30, 0.001)
        time.sleep(rng.uniform(0, 0.2))
        cluster.kill()
        process.wait(60)


@deadline(600, 6 * 3600)
def test_killed_under_load(world):
    rounds, restarts, steps = world.pick(20, 500), [], 0
    with world.cluster() as cluster:
        cluster.start()
        before, digest = None, {}
        for number in range(rounds):
            try:
                current = Round(world, cluster, number)
                current.prepare()
                current.load_and_kill()
                if current.rng.random() < 0.25:
                    kill_while_starting(cluster, current.rng)
                restarts.append(cluster.start())
                current.check()
                if before:
                    expect_same_tree(digest, before.folder, "what an earlier round left")
                    before.remove()
                if number % DOCTOR_EVERY == 0 or number == rounds - 1:
                    cluster.expect_clean("after a crash")
            except (Failure, OSError) as failure:
                raise Failure(f"round {number}: {failure}")
            before, digest, steps = current, digest_of_tree(current.folder), steps + current.steps()
    restarts.sort()
    world.note(f"{rounds} kills, {steps} logged steps; restart in {statistics.median(restarts):.2f}"
               f" s (median), {restarts[-1]:.2f} s (longest)")
    if world.long:
        expect(restarts[-1] < RESTART_SECONDS_MOST, f"a restart took {restarts[-1]:.2f} s")


def test_killed_while_stopping(world):
    rng = random.Random(world.seed)
    with world.cluster() as cluster:
        cluster.start()
        trees = {}
        for number in range(world.pick(6, 60)):
            top = cluster.mount / f"tree{number}"
            trees[top] = make_tree(top, world.seed + number, 60)
            os.sync()
            for folder, _, files in os.walk(top):
                for path in [folder] + [os.path.join(folder, name) for name in files]:
                    sync(path)
            sync(cluster.mount)
            stopping = subprocess.Popen([cluster.program, "--cluster", cluster.home, "demo",
                                         "stop"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0, 0.3))
            cluster.kill()
            stopping.wait(120)
            cluster.start()
            for top, tree in trees.items():
                expect_same_tree(tree, top, f"after it was killed while stopping, {number}")
        cluster.expect_clean("after kills while stopping")


def sync(path):
    if os.path.islink(path):
        return
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.close(file)


@deadline(300, 900)
def test_killed_again_and_again_while_starting(world):
    """Recovery of a recovery: each start may end at any moment, and loses nothing."""
    rng = random.Random(world.seed)
    with world.cluster() as cluster:
        cluster.start()
        current = Round(world, cluster, 0)
        current.prepare()
        current.load_and_kill()
        for _ in range(world.pick(8, 60)):
            kill_while_starting(cluster, rng)
        world.note(f"start after them in {cluster.start():.2f} s")
        current.check()
        (cluster.mount / "after").write_bytes(bytes(MIB))
        cluster.expect_clean("after kills while starting")
