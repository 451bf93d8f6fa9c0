"""Random operations on one file, through two descriptors and mappings, beside a model of it.

    file_exerciser.py PATH SEED OPERATIONS

Prints the digest of what the file holds then, or the last operations before a difference.

All that changes a file's bytes is here: write, append, truncate, fallocate, punch, zero-range,
copy_file_range, a shared mapping, fsync, reopening, pages dropped. After each read and at the end the file must
be what the model says: bytes, size and holes that read as zeros.
"""

import ctypes
import hashlib
import mmap
import os
import random
import sys

MOST = 1 << 20  # Bytes of the file.
PIECE_MOST = 96 << 10
KEEP_SIZE, PUNCH, ZERO = 1, 2, 16
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]


class Difference(Exception):
    pass


class Exerciser:
    def __init__(self, path: str, seed: int):
        self.path = path
        self.rng = random.Random(seed)
        self.model = bytearray()
        self.done = []
        self.descriptors = [os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644),
                            os.open(path, os.O_RDWR)]
        self.appender = os.open(path, os.O_WRONLY | os.O_APPEND)
        self.operations = [self.write] * 6 + [self.read] * 6 + [self.map_write] * 3 + \
            [self.map_read] * 3 + [self.truncate] * 3 + [self.append, self.punch, self.zero,
             self.allocate, self.copy, self.copy, self.sync, self.forget,
             self.forget, self.reopen, self.check_size]

    def run(self, count: int):
        for _ in range(count):
            self.rng.choice(self.operations)()
        self.reopen()
        self.expect_bytes(0, MOST + 1, "at the end")

    # What is asked of the file, and of the model.

    def fd(self) -> int:
        return self.rng.choice(self.descriptors)

    def note(self, text: str):
        self.done.append(text)

    def place(self, most: int = PIECE_MOST):
        """An offset and a length within the file's bounds, often at the edges of pages."""
        offset = self.rng.randrange(MOST)
        if self.rng.random() < 0.4:
            offset = min(self.rng.choice([0, len(self.model)]), MOST - 1)
        length = self.rng.choice([1, 100, 4096, self.rng.randrange(1, most)])
        if self.rng.random() < 0.4:
            offset, length = offset & ~4095, max(4096, length & ~4095)
        return offset, min(length, MOST - offset)

    def piece(self, length: int) -> bytes:
        return self.rng.randbytes(length)

    def grow(self, size: int):
        if size > len(self.model):
            self.model.extend(bytes(size - len(self.model)))

    def write(self):
        offset, length = self.place()
        data, fd = self.piece(length), self.fd()
        self.note(f"write {offset}+{length} by {fd}")
        self.expect(os.pwrite(fd, data, offset) == length, "a short write")
        self.grow(offset + length)
        self.model[offset:offset + length] = data

    def append(self):
        length = self.rng.randrange(1, 20000)
        if len(self.model) + length > MOST:
            return
        data = self.piece(length)
        self.note(f"append {length} at {len(self.model)}")
        self.expect(os.write(self.appender, data) == length, "a short append")
        self.model.extend(data)

    def read(self):
        offset, length = self.place()
        fd = self.fd()
        self.note(f"read {offset}+{length} by {fd}")
        self.expect_bytes(offset, length, "read", fd)

    def map_write(self):
        if not self.model:
            return
        offset = self.rng.randrange(len(self.model))
        length = min(self.rng.randrange(1, PIECE_MOST), len(self.model) - offset)
        data = self.piece(length)
        self.note(f"map and write {offset}+{length}")
        with mmap.mmap(self.fd(), len(self.model)) as mapped:
            mapped[offset:offset + length] = data
            if self.rng.random() < 0.3:
                self.note("msync")
                mapped.flush()
        self.model[offset:offset + length] = data

    def map_read(self):
        if not self.model:
            return
        self.note(f"map and read {len(self.model)}")
        with mmap.mmap(self.fd(), len(self.model), prot=mmap.PROT_READ) as mapped:
            self.compare(0, mapped[:], bytes(self.model), "mapped")

    def truncate(self):
        size = self.rng.choice([self.rng.randrange(MOST + 1), len(self.model),
                                len(self.model) // 2, 0])
        self.note(f"truncate {len(self.model)} to {size}")
        os.ftruncate(self.fd(), size)
        del self.model[size:]
        self.grow(size)

    def fallocate(self, name: str, mode: int, offset: int, length: int):
        self.note(f"{name} {offset}+{length}")
        if LIBC.fallocate(self.fd(), mode, offset, length) != 0:
            raise Difference(f"{name}: {os.strerror(ctypes.get_errno())}")

    def clear(self, offset: int, length: int):
        end = min(offset + length, len(self.model))
        if offset < end:
            self.model[offset:end] = bytes(end - offset)

    def punch(self):
        offset, length = self.place()
        self.fallocate("punch", PUNCH | KEEP_SIZE, offset, length)
        self.clear(offset, length)

    def zero(self):
        offset, length = self.place()
        keep = self.rng.random() < 0.5
        self.fallocate("zero" + " keeping size" * keep, ZERO | KEEP_SIZE * keep, offset, length)
        if not keep:
            self.grow(offset + length)
        self.clear(offset, length)

    def allocate(self):
        offset, length = self.place()
        keep = self.rng.random() < 0.5
        self.fallocate("allocate" + " keeping size" * keep, KEEP_SIZE * keep, offset, length)
        if not keep:
            self.grow(offset + length)

    def copy(self):
        if not self.model:
            return
        source, length = self.place()
        target, _ = self.place()
        length = min(length, MOST - target, max(0, len(self.model) - source))
        apart = source + length <= target or target + length <= source
        if length == 0 or not apart:
            return
        self.note(f"copy {source}+{length} to {target}")
        left = length
        while left > 0:
            copied = os.copy_file_range(self.fd(), self.fd(), left, source + length - left,
                                        target + length - left)
            self.expect(copied > 0, f"copied nothing with {left} bytes left")
            left -= copied
        data = self.model[source:source + length]
        self.grow(target + length)
        self.model[target:target + length] = data

    def sync(self):
        fd = self.fd()
        self.note(f"fsync {fd}")
        os.fsync(fd)

    def forget(self):
        self.note("drop the pages")
        os.posix_fadvise(self.fd(), 0, 0, os.POSIX_FADV_DONTNEED)

    def reopen(self):
        at = self.rng.randrange(2)
        self.note(f"reopen {self.descriptors[at]}")
        os.close(self.descriptors[at])
        self.descriptors[at] = os.open(self.path, os.O_RDWR)

    def check_size(self):
        self.note("stat")
        for about in (os.stat(self.path), os.fstat(self.fd())):
            self.expect(about.st_size == len(self.model),
                        f"size {about.st_size}, not {len(self.model)}")

    # Comparing.

    def expect(self, condition: bool, what: str):
        if not condition:
            raise Difference(what)

    def expect_bytes(self, offset: int, length: int, what: str, fd: int = -1):
        got = os.pread(fd if fd >= 0 else self.descriptors[0], length, offset)
        self.compare(offset, got, bytes(self.model[offset:offset + length]), what)

    def compare(self, offset: int, got: bytes, expected: bytes, what: str):
        if got == expected:
            return
        self.expect(len(got) == len(expected),
                    f"{what}: {len(got)} bytes at {offset}, not {len(expected)}")
        at = next(i for i, pair in enumerate(zip(got, expected)) if pair[0] != pair[1])
        last = max(i for i, pair in enumerate(zip(got, expected)) if pair[0] != pair[1])
        zeros = " (zeros)" if not any(got[at:last + 1]) else ""
        raise Difference(f"{what}: bytes {offset + at} to {offset + last} are wrong{zeros}")


def main(path: str, seed: str, count: str) -> int:
    exerciser = Exerciser(path, int(seed))
    try:
        exerciser.run(int(count))
    except (Difference, OSError) as wrong:
        print("\n".join(exerciser.done[-40:]))
        print(f"seed {seed}, operation {len(exerciser.done)}: {wrong}")
        return 1
    print(hashlib.sha256(exerciser.model).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
