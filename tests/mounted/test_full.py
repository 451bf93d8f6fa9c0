"""Full, and nearly full for long: ENOSPC at the real limit and not before, and deleting works."""

import array
import errno
import os
import random
import struct

from cluster import GIB, MIB, deadline, drop_caches, expect, poll, space_of

BLOCK = 4096
FREED_SECONDS = 60
# Blocks written to segments (data, cleaning and the index, without parity) to those that the user
# wrote. What the journal writes, in copies, is no part of it; reports have all bytes beside it.
UNIFORM_MOST, SKEWED_MOST = 3.0, 1.6


def fill(folder, rng, sizes: list) -> list:
    """Files until ENOSPC; gives those that are whole."""
    whole, piece = [], rng.randbytes(MIB)
    for number in range(10**9):
        path, size = folder / f"file{number:06d}", rng.choice(sizes)
        try:
            with open(path, "wb", buffering=0) as file:
                for at in range(0, size, MIB):
                    written = file.write(piece[:min(MIB, size - at)])
                    if written != min(MIB, size - at):
                        raise OSError(errno.ENOSPC, "a short write")
                os.fsync(file.fileno())
        except OSError as error:
            expect(error.errno == errno.ENOSPC, f"{error}, not ENOSPC, at {path}")
            return whole
        whole.append((path, size))


def expect_enospc_limit(cluster, when: str):
    space = space_of(cluster.mount)
    expect(space.free <= 0.03 * space.total + 4 * MIB, f"ENOSPC {when}, but df says that "
           f"{space.free / MIB:.0f} of {space.total / MIB:.0f} MiB are free")


@deadline(600, 3600)
def test_fills_and_empties(world):
    rng = random.Random(world.seed)
    with world.cluster(drive_bytes=world.pick(192 * MIB, GIB)) as cluster:
        cluster.start()
        folder = cluster.mount / "files"
        folder.mkdir()
        empty = space_of(cluster.mount)
        physical = cluster.status()["free_bytes"]
        expect(empty.free >= 0.97 * empty.total, "a new filesystem is not empty")
        for turn in range(world.pick(3, 10)):
            sizes = [[MIB, 4 * MIB], [100, 5000, 30000, MIB], [8 * MIB]][turn % 3]
            whole = fill(folder, rng, sizes)
            expect_enospc_limit(cluster, f"in turn {turn}")
            written = sum(size for _, size in whole)
            if turn == 0:
                world.note(f"{written / empty.total:.1%} of the capacity fitted, in files of MiB")
            give_and_take(cluster, folder, whole, rng)
            for path in folder.iterdir():
                path.unlink()
            poll("97 % are free again", lambda: space_of(cluster.mount).free >= 0.97 * empty.total,
                 FREED_SECONDS, 0.1)
        poll("97 % of the drives are free again",
             lambda: cluster.status()["free_bytes"] >= 0.97 * physical, FREED_SECONDS, 0.1)
        cluster.expect_clean("after it was full")
        cluster.restart()
        expect(space_of(cluster.mount).free >= 0.97 * empty.total, "not free after a restart")


def give_and_take(cluster, folder, whole: list, rng):
    """When full: deleting works, what it gave can be written, and what is there is right."""
    rng.shuffle(whole)
    victims = []
    while sum(size for _, size in victims) < 16 * MIB:
        victims.append(whole.pop())
    for path, _ in victims:
        path.unlink()
    poll("a deletion frees space", lambda: space_of(cluster.mount).free >= 12 * MIB, 30)
    (folder / "again").write_bytes(bytes(8 * MIB))
    (folder / "again").rename(folder / "renamed")
    for path, size in whole[:50]:
        expect(path.stat().st_size == size, f"{path} has another size")
    whole.append((folder / "renamed", 8 * MIB))


@deadline(600, 3600)
def test_many_small_operations(world):
    """Small files come and go on small drives: none of them may be refused."""
    rng = random.Random(world.seed)
    count, kept_most = world.pick(15_000, 100_000), 2000
    with world.cluster(drive_bytes=512 * MIB) as cluster:
        cluster.start()
        empty = space_of(cluster.mount)
        kept = []
        for number in range(count):
            path = cluster.mount / f"d{number % 10}" / f"file{number:06d}"
            path.parent.mkdir(exist_ok=True)
            content = struct.pack("<Q", number) * rng.choice([0, 1, 12, 500, 2000])
            path.write_bytes(content)
            kept.append((path, content))
            if len(kept) > kept_most:
                at = rng.randrange(len(kept))
                kept[at], kept[-1] = kept[-1], kept[at]
                kept.pop()[0].unlink()
        drop_caches()
        for path, content in kept:
            expect(path.read_bytes() == content, f"{path} is not what was written")
            path.unlink()
        poll("97 % are free again", lambda: space_of(cluster.mount).free >= 0.97 * empty.total,
             FREED_SECONDS, 0.1)
        world.note(f"{count} small files made, {count} deleted")
        cluster.expect_clean("after small operations")


class Churned:
    """A file of blocks that each say which write they are of."""

    def __init__(self, path, blocks: int):
        self.path = path
        self.versions = array.array("L", bytes(8 * blocks))
        self.file = os.open(path, os.O_RDWR | os.O_CREAT)

    def content(self, number: int) -> bytes:
        return struct.pack("<QQ", number, self.versions[number]) * (BLOCK // 16)

    def fill(self):
        step = MIB // BLOCK
        for first in range(0, len(self.versions), step):
            numbers = range(first, min(first + step, len(self.versions)))
            self.write(b"".join(map(self.content, numbers)), first)
        os.fsync(self.file)

    def overwrite(self, number: int):
        self.versions[number] += 1
        self.write(self.content(number), number)

    def write(self, content: bytes, first: int):
        written = os.pwrite(self.file, content, first * BLOCK)
        expect(written == len(content), f"{written} of {len(content)} bytes are written")

    def check(self):
        step = MIB // BLOCK
        for first in range(0, len(self.versions), step):
            numbers = range(first, min(first + step, len(self.versions)))
            got = os.pread(self.file, step * BLOCK, first * BLOCK)
            expect(got == b"".join(map(self.content, numbers)), f"wrong within blocks {numbers}")


def written_to_segments(cluster):
    """Data blocks written to segments, and all bytes written to drives."""
    status = cluster.status()
    return (status["counters"]["segments.blocks_written"],
            sum(drive["written_bytes"] for drive in status["drives"]))


def churn(cluster, churned, count: int, choose) -> tuple:
    """Random overwrites; gives the write amplification of segments and of whole drives."""
    before = written_to_segments(cluster)
    for number in range(count):
        churned.overwrite(choose())
        if number % 256 == 255:
            os.fsync(churned.file)
    os.fsync(churned.file)
    after = written_to_segments(cluster)
    return (after[0] - before[0]) / count, (after[1] - before[1]) / (count * BLOCK)


def overwrites_when_nearly_full(world, choose_of, most: float, name: str):
    rng = random.Random(world.seed)
    with world.cluster(drive_bytes=world.pick(128 * MIB, GIB)) as cluster:
        cluster.start()
        total = space_of(cluster.mount).total
        churned = Churned(cluster.mount / "churned", int(0.8 * total) // BLOCK)
        churned.fill()
        choose = choose_of(rng, len(churned.versions))
        turns, amplifications = world.pick(1, 20), []
        for _ in range(turns):
            amplifications.append(churn(cluster, churned, total // BLOCK, choose))
        segments, drives = amplifications[-1]
        world.note(f"{name} 4 KiB overwrites at 80 % full, {turns} times the capacity: write "
                   f"amplification {segments:.2f} in segments, {drives:.2f} at the drives with "
                   "journal and parity")
        drop_caches()
        churned.check()
        os.close(churned.file)
        cluster.expect_clean("after overwrites")
        expect(segments <= most, f"write amplification {segments:.2f}; {most} is the most")


@deadline(600, 4 * 3600)
def test_uniform_overwrites_at_80_percent(world):
    overwrites_when_nearly_full(
        world, lambda rng, blocks: lambda: rng.randrange(blocks), UNIFORM_MOST, "uniform")


@deadline(600, 4 * 3600)
def test_skewed_overwrites_at_80_percent(world):
    """95 % of the writes go to 5 % of the blocks."""

    def choose_of(rng, blocks: int):
        hot = max(1, blocks // 20)
        return lambda: rng.randrange(hot) if rng.random() < 0.95 else rng.randrange(hot, blocks)

    overwrites_when_nearly_full(world, choose_of, SKEWED_MOST, "95/5")
