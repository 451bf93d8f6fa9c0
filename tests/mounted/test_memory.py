"""Memory is bounded whatever is done. The runner watches it in all tests; these reach for it."""

import os
import random

from cluster import GIB, KIB, MIB, deadline, drop_caches, expect


def make_files(folder, first: int, count: int, each_folder: int = 10000):
    for number in range(first, first + count):
        if number % each_folder == 0 or number == first:
            below = folder / f"d{number // each_folder:05d}"
            below.mkdir(exist_ok=True)
        os.close(os.open(below / f"file{number:08d}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))


def in_processes(count: int, work) -> list:
    children = []
    for part in range(count):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work(part)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


@deadline(600, 6 * 3600)
def test_many_files(world):
    total, parts = world.pick(60_000, 10_000_000), 4
    with world.cluster(drive_bytes=world.pick(256 * MIB, 3 * GIB)) as cluster:
        cluster.start()
        folder = cluster.mount / "many"
        folder.mkdir()
        each = total // parts
        codes = in_processes(parts, lambda part: make_files(folder, part * each, each))
        expect(not any(codes), f"a process that makes files failed: {codes}")
        cluster.expect_alive()
        drop_caches()
        seen = sum(len(os.listdir(below)) for below in folder.iterdir())
        expect(seen == each * parts, f"{seen} of {each * parts} files are listed")
        rng = random.Random(world.seed)
        for _ in range(world.pick(20_000, 500_000)):
            number = rng.randrange(each * parts)
            os.stat(folder / f"d{number // 10000:05d}" / f"file{number:08d}")
        world.note(f"{seen} files: {cluster.status()['resident_bytes'] / MIB:.0f} MiB resident, "
                   f"start in {cluster.restart():.2f} s")
        seen = sum(len(os.listdir(below)) for below in folder.iterdir())
        expect(seen == each * parts, f"{seen} files are listed after a restart")
        expect(os.statvfs(cluster.mount).f_files > seen, "df -i says nothing")


@deadline(600, 3600)
def test_much_data_at_once(world):
    """Large reads and writes of several processes, and no fsync that would make them wait."""
    parts, size = 6, world.pick(100 * MIB, 2 * GIB)
    with world.cluster(drive_bytes=world.pick(384 * MIB, 5 * GIB)) as cluster:
        cluster.start()

        def write_and_read(part: int):
            rng = random.Random(part)
            piece = rng.randbytes(MIB)
            with open(cluster.mount / f"file{part}", "w+b", buffering=0) as file:
                for _ in range(size // MIB):
                    file.write(piece)
                for _ in range(2000):
                    os.pwrite(file.fileno(), piece[:4 * KIB], rng.randrange(size - MIB) & ~4095)
                for at in range(0, size, MIB):
                    expect(len(os.pread(file.fileno(), MIB, at)) == MIB, "a short read")

        codes = in_processes(parts, write_and_read)
        expect(not any(codes), f"a process failed: {codes}")
        world.note(f"{cluster.status()['resident_bytes'] / MIB:.0f} MiB resident after "
                   f"{parts * size / GIB:.1f} GiB")
        cluster.expect_clean("after much data")
