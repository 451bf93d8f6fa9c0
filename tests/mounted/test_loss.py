"""Drives are lost and rot: what parity covers stays right for those who use it, and is made whole;
what it does not cover is told, and all else is served."""

import contextlib
import errno
import hashlib
import itertools
import mmap
import os
import random
import signal
import struct
import subprocess
import time

from cluster import (KIB, MIB, Failure, deadline, drop_caches, expect, expect_same_tree, make_tree,
                     need, poll)

DAMAGES = ("removed", "truncated", "noise")
REBUILD_SECONDS = 300
MAGIC = b"weft-test-block:"


def damage(path, how: str, rng):
    """What happens to a drive file behind the process's back."""
    size = path.stat().st_size
    if how == "removed":
        path.unlink()
    elif how == "truncated":
        os.truncate(path, rng.randrange(size // 2))
    else:
        noise = rng.randbytes(MIB)
        with open(path, "r+b", buffering=0) as file:
            for at in range(0, size, MIB):
                file.write(noise[:min(MIB, size - at)])
            sync_beside_the_process(file)


def sync_beside_the_process(file):
    """The process writes past the page cache what we write through it. Where the two meet, the
    kernel says EIO to everybody who syncs the file next: that is trouble for the process, as a
    drive that fails makes it, but none of ours."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno != errno.EIO:
            raise


def fio_command(folder, seconds: int, seed: int) -> list:
    return ["fio", "--name=verified", f"--directory={folder}", "--numjobs=3", "--rw=randwrite",
            "--bsrange=4k-128k", "--size=16m", "--time_based", f"--runtime={seconds}",
            "--verify=crc32c", "--verify_backlog=32", "--verify_fatal=1", "--do_verify=1",
            "--fsync=32", "--verify_state_save=0", "--fallocate=none", "--ioengine=psync",
            "--group_reporting", f"--randseed={seed}"]


def samples(world) -> list:
    """Pairs of drives by place, each with two ways to damage them; all of them in a long run."""
    every = [(pair, hows) for pair in itertools.combinations(range(6), 2)
             for hows in itertools.product(DAMAGES, repeat=2)]
    rng = random.Random(world.seed)
    rng.shuffle(every)
    if world.long:
        return every
    chosen = []
    for hows in (("truncated", "noise"), ("removed", "noise"), ("truncated", "removed")):
        chosen.append(next(sample for sample in every if sample[1] == hows))
    return chosen


def lose_two_under_fio(world, cluster, number: int, places, hows, rng):
    folder = cluster.mount / f"fio{number}"
    folder.mkdir()
    paths = cluster.drive_paths()
    lost = [sorted(paths)[place] for place in places]
    with open(world.folder / "fio.log", "w+") as log:
        fio = subprocess.Popen(fio_command(folder, world.pick(6, 12), world.seed + number),
                               stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        poll("fio writes", lambda: len(list(folder.glob("verified*"))) == 3
             or fio.poll() is not None, 60)
        for drive, how in zip(lost, hows):
            # This is no waiting for something: the moment is meant to be random.
            with_timeout(fio, rng.uniform(0.2, 1.5))
            damage(paths[drive], how, rng)
        code = fio.wait(120)
        log.seek(0)
        expect(code == 0, f"an error reached fio, exit code {code}:\n{log.read()[-3000:]}")
    return folder, lost


def with_timeout(process, seconds: float):
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass


@deadline(600, 5 * 3600)
def test_two_drives_lost_under_fio(world):
    need("fio")
    rng = random.Random(world.seed)
    with world.cluster() as cluster:
        cluster.start()
        tree = make_tree(cluster.mount / "tree", world.seed, 400, bytes_most=512 * KIB)
        for number, (places, hows) in enumerate(samples(world)):
            what = f"{' and '.join(hows)} at places {places}"
            try:
                folder, lost = lose_two_under_fio(world, cluster, number, places, hows, rng)
                drop_caches()
                expect_same_tree(tree, cluster.mount / "tree", "right after")
                if number % 2 == 1:
                    cluster.restart()
                    expect_same_tree(tree, cluster.mount / "tree", "after a restart")
                for drive in lost:
                    path = cluster.home / "drives" / f"new-{number}-{drive}.drive"
                    cluster.command("drive", "replace", drive, path)
                cluster.wait_protected(REBUILD_SECONDS)
                cluster.expect_clean("after the rebuild")
                drop_caches()
                expect_same_tree(tree, cluster.mount / "tree", "after the rebuild")
                for path in folder.iterdir():
                    path.unlink()
            except (Failure, OSError) as failure:
                raise Failure(f"{what}: {failure}")


@deadline(300, 900)
def test_added_drives_take_over(world):
    """Two drives fail, two others are added: rebuilt, and two more may fail."""
    with world.cluster() as cluster:
        cluster.start()
        tree = make_tree(cluster.mount / "tree", world.seed, 400, bytes_most=512 * KIB)
        for step in range(2):
            before = sorted(cluster.drive_paths())
            active = [d["id"] for d in cluster.status()["drives"] if d["state"] == "active"]
            for drive in active[:2]:
                cluster.command("drive", "fail", drive)
            expect_same_tree(tree, cluster.mount / "tree", "with two drives failed")
            for number in range(2):
                path = cluster.home / "drives" / f"add{step}{number}.drive"
                cluster.command("drive", "add", path)
            expect(len(cluster.drive_paths()) >= len(before) + 2, "the new drives are not listed")
            cluster.wait_protected(REBUILD_SECONDS)
            drop_caches()
            expect_same_tree(tree, cluster.mount / "tree", "after the rebuild")
        cluster.expect_clean("after two rebuilds")
        cluster.restart()
        expect_same_tree(tree, cluster.mount / "tree", "after a restart")
        expect(cluster.command("status").code == 0, "status is not healthy")


def read_or_error(path) -> bytes | None:
    """None: an input/output error, as it should be told."""
    try:
        with open(path, "rb", buffering=0) as file:
            pieces = []
            while piece := file.read(MIB):
                pieces.append(piece)
            return b"".join(pieces)
    except OSError as error:
        expect(error.errno == errno.EIO, f"{path}: {error}, not EIO")
        return None


@deadline(300, 600)
def test_third_loss(world):
    """Beyond parity: EIO for what is lost, and only for that. There are eight drives, so that some
    segments lie on too few of the lost ones to be lost; they go at once, before any rebuild."""
    rng = random.Random(world.seed)
    with world.cluster(drives=8) as cluster:
        cluster.start()
        contents = {}
        for number in range(150):
            path = cluster.mount / f"file{number:03d}"
            contents[path] = rng.randbytes(rng.choice([100, 4096, MIB, 3 * MIB]))
            path.write_bytes(contents[path])
        cluster.restart()  # Nothing is staged, nothing cached.
        for path in rng.sample(sorted(cluster.drive_paths().values()), 3):
            os.truncate(path, 0)
        poll("the loss is noticed", lambda: cluster.status()["protection"]["lost"], 60, 0.1)
        served = unreadable = 0
        for path, content in contents.items():
            got = read_or_error(path)
            expect(got is None or got == content, f"{path} is wrong")
            served, unreadable = served + (got is not None), unreadable + (got is None)
        cluster.expect_alive()
        status = cluster.command("status", json=True, code=4).json()
        world.note(f"three of eight lost: {served} files served, {unreadable} with EIO; "
                   f"{status['protection']['lost']} of {status['protection']['segments']} segments")
        expect(served > 0, "nothing is served any more")
        expect(unreadable > 0 and status["protection"]["lost"] > 0, "three losses lost nothing?")
        (cluster.mount / "new").write_bytes(b"x" * MIB)
        expect((cluster.mount / "new").read_bytes() == b"x" * MIB, "a new file is wrong")
        expect(cluster.doctor(), "doctor finds nothing wrong")
        cluster.expect_alive()


def test_refuses_to_lose_data(world):
    with world.cluster() as cluster:
        cluster.start()
        tree = make_tree(cluster.mount / "tree", world.seed, 100)
        cluster.command("drive", "fail", 0)
        cluster.command("drive", "fail", 3)
        refused = cluster.command("drive", "fail", 4, code=1)
        expect("lost" in refused.err, f"it does not say that data would be lost: {refused.err}")
        expect(cluster.command("status", code=4).out, "status says nothing of two lost drives")
        drop_caches()
        expect_same_tree(tree, cluster.mount / "tree", "after a failure that was refused")
        states = {drive["id"]: drive["state"] for drive in cluster.status()["drives"]}
        expect(states[4] == "active", f"the drive that must not fail is {states[4]}")


def block_of(seed: int, number: int) -> bytes:
    head = MAGIC + struct.pack("<QQ", seed, number)
    return head + hashlib.sha256(head).digest() * ((4096 - len(head)) // 32)


def write_blocks(path, seed: int, count: int):
    with open(path, "wb", buffering=4 * MIB) as file:
        for number in range(count):
            file.write(block_of(seed, number))
        file.flush()
        os.fsync(file.fileno())


def expect_blocks(path, seed: int, count: int, when: str):
    with open(path, "rb") as file:
        for number in range(count):
            expect(file.read(4096) == block_of(seed, number),
                   f"block {number} is wrong {when}")


def where_blocks_lie(cluster, seed: int) -> list:
    """Drive file and offset of each block of ours that is found on the drives."""
    found, sought = [], MAGIC + struct.pack("<Q", seed)
    for path in cluster.drive_paths().values():
        with contextlib.ExitStack() as open_files:
            file = open_files.enter_context(open(path, "rb"))
            drive = open_files.enter_context(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
            at = drive.find(sought)
            while at >= 0:
                found.append((path, at))
                at = drive.find(sought, at + 4096)
    return found


def flip_bit(path, at: int, rng):
    with open(path, "r+b", buffering=0) as file:
        file.seek(at)
        byte = file.read(1)[0] ^ (1 << rng.randrange(8))
        file.seek(at)
        file.write(bytes([byte]))
        sync_beside_the_process(file)


def table_copies(path) -> list:
    """Of what a drive keeps beside its slots the places of both copies (docs/formats/drive.md):
    superblock, the first block of the fence table, the map, the first block of the slot table."""
    with open(path, "rb") as file:
        map_at, slots_at = struct.unpack_from("<QQ", file.read(4096), 48)
    return [(0, 64 * KIB), (128 * KIB, 132 * KIB), (map_at, map_at + 260 * KIB),
            (slots_at, slots_at + 4 * KIB)]


def let_rot(drives, lying, rng):
    """Two drives, of which parity covers whatever is hit; what it does not cover last, so that
    it is found and not written over."""
    tables = {drive: table_copies(drive) for drive in drives}
    for drive, at in rng.sample([lies for lies in lying if lies[0] in drives], 60):
        flip_bit(drive, at + rng.randrange(4096), rng)
    for _ in range(150):
        drive = rng.choice(drives)
        flip_bit(drive, rng.randrange(drive.stat().st_size), rng)
    for drive in drives:
        for copies in tables[drive]:
            flip_bit(drive, rng.choice(copies) + rng.randrange(32), rng)


@deadline(300, 1200)
def test_rot_is_found_and_repaired(world):
    rng, count = random.Random(world.seed), 20000
    with world.cluster() as cluster:
        cluster.start()
        path = cluster.mount / "blocks"
        write_blocks(path, world.seed, count)
        tree = make_tree(cluster.mount / "tree", world.seed, 300)
        cluster.restart()
        lying = where_blocks_lie(cluster, world.seed)
        expect(len(lying) >= count, f"of {count} blocks {len(lying)} are found on the drives")
        names = {"segments.blocks_repaired": 60, "drives.table_blocks_repaired": 2 * 4}
        for round_number in range(world.pick(2, 20)):
            before = {name: cluster.counter(name) for name in names}
            let_rot(rng.sample(sorted(cluster.drive_paths().values()), 2), lying, rng)
            findings = cluster.doctor()
            for name, rotten in names.items():
                repaired = cluster.counter(name) - before[name]
                expect(repaired >= rotten, f"{name}: of {rotten} rotten ones in use {repaired} "
                       f"were repaired; {findings[:5]}")
            cluster.expect_clean("after it repaired")
            drop_caches()
            expect_blocks(path, world.seed, count, "after repair")
            expect_same_tree(tree, cluster.mount / "tree", "after repair")
            cluster.restart()
            expect_blocks(path, world.seed, count, "after repair and a restart")
            cluster.expect_clean("after repair and a restart")
        world.note("60 aimed and 150 random flips on two drives, and 8 in what they keep beside "
                   "their slots: all repaired, each round")


@deadline(300, 600)
def test_rot_is_hidden_from_readers(world):
    """Reads of rotten blocks give what was written, and repair it by the way."""
    rng, count = random.Random(world.seed), 10000
    with world.cluster() as cluster:
        cluster.start()
        path = cluster.mount / "blocks"
        write_blocks(path, world.seed, count)
        cluster.restart()
        drives = rng.sample(sorted(cluster.drive_paths().values()), 2)
        rotten = [lies for lies in where_blocks_lie(cluster, world.seed) if lies[0] in drives]
        expect(len(rotten) > count // 8, f"only {len(rotten)} blocks are found on two drives")
        for drive, at in rng.sample(rotten, min(len(rotten), 1000)):
            flip_bit(drive, at + rng.randrange(4096), rng)
        drop_caches()
        expect_blocks(path, world.seed, count, "with rot on two drives")
        repaired = poll("rot that readers met is repaired",
                        lambda: cluster.counter("segments.blocks_repaired"), 60, 0.1)
        world.note(f"{repaired} blocks repaired by reading over 1000 rotten ones on two drives")
        cluster.doctor()
        cluster.expect_clean("after it repaired")


@contextlib.contextmanager
def loop_device(path, size: int):
    need("losetup")
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    made = subprocess.run(["losetup", "--find", "--show", "--direct-io=on", str(path)],
                          capture_output=True, text=True)
    expect(made.returncode == 0, f"no loop device: {made.stderr}")
    device = made.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=False)


@contextlib.contextmanager
def stopped(pid: int):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@deadline(300, 300)
def test_drive_that_does_not_answer(world):
    """Its device, on a cluster whose process is stopped, takes what it is asked and says nothing:
    programs wait for a while and see no error, and the drive is failed."""
    with world.cluster(drive_bytes=128 * MIB) as below, world.cluster() as cluster:
        below.start()
        cluster.start()
        with loop_device(below.mount / "device", 256 * MIB) as device:
            drive = cluster.command("drive", "add", device, json=True).json()["id"]
            tree = make_tree(cluster.mount / "tree", world.seed, 300, bytes_most=512 * KIB)
            state = lambda: next(d["state"] for d in cluster.status()["drives"]
                                 if d["id"] == drive)
            with stopped(below.pid()):
                written, longest = 0, 0.0
                while state() != "failed":
                    began = time.monotonic()
                    with open(cluster.mount / f"file{written}", "wb") as file:
                        file.write(block_of(world.seed, written) * 32)
                        file.flush()
                        os.fsync(file.fileno())
                    longest = max(longest, time.monotonic() - began)
                    written += 1
                expect_same_tree(tree, cluster.mount / "tree", "with a drive that is silent")
                cluster.wait_protected(REBUILD_SECONDS)
                cluster.stop()
            cluster.start()
            for number in range(written):
                with open(cluster.mount / f"file{number}", "rb") as file:
                    expect(file.read() == block_of(world.seed, number) * 32,
                           f"file {number} is not what was written")
            expect_same_tree(tree, cluster.mount / "tree", "after a restart")
            cluster.expect_clean("after a drive did not answer")
            cluster.stop()
        world.note(f"{written} files written meanwhile, one in {longest:.1f} s")
