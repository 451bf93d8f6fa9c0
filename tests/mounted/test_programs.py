"""Programs people run, on one mount: each must work, and find what it wrote afterwards."""

import hashlib
import mmap
import os
import pathlib
import random
import shutil
import subprocess
import tarfile

from cluster import GIB, KIB, MIB, ROOT, deadline, drop_caches, expect, need, only_long, run

SHARED = {"drive_bytes": 768 * MIB}
SHARED_LONG = {"drive_bytes": 5 * GIB}

GIT = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "-c",
       "protocol.file.allow=always", "-c", "safe.directory=*"]


def make_repository(folder: pathlib.Path, seed: int, commits: int, files: int) -> str:
    """With branches, renames and binary files; gives the last commit."""
    rng = random.Random(seed)
    folder.mkdir()
    run(*GIT, "init", "-q", "-b", "main", folder)
    for commit in range(commits):
        for _ in range(files):
            path = folder / f"s{rng.randrange(20)}" / f"f{rng.randrange(files)}.txt"
            path.parent.mkdir(exist_ok=True)
            lines = [f"{rng.random()} of {commit}\n" for _ in range(rng.randrange(1, 60))]
            path.write_text("".join(lines))
        (folder / f"binary{commit}").write_bytes(rng.randbytes(rng.randrange(100 * KIB)))
        run(*GIT, "-C", folder, "add", "-A")
        run(*GIT, "-C", folder, "commit", "-q", "-m", f"commit {commit}")
        if commit % 3 == 0:
            run(*GIT, "-C", folder, "branch", f"branch{commit}")
    return run(*GIT, "-C", folder, "rev-parse", "HEAD").stdout.strip()


def test_git(world, cluster):
    need("git")
    origin, clone = world.folder / "origin", cluster.mount / "clone"
    head = make_repository(origin, world.seed, world.pick(6, 40), world.pick(60, 400))
    run(*GIT, "clone", "-q", "--no-local", f"file://{origin}", clone)
    git = [*GIT, "-C", clone]
    run(*git, "fsck", "--full", "--strict")
    expect(run(*git, "rev-parse", "HEAD").stdout.strip() == head, "another commit than cloned")
    expect(not run(*git, "status", "--porcelain").stdout, "a fresh clone is not clean")
    run(*git, "checkout", "-q", "-b", "work", "origin/branch0")
    (clone / "new.txt").write_text("new\n")
    run(*git, "add", "-A")
    run(*git, "commit", "-q", "-m", "on the mount")
    run(*git, "merge", "-q", "-m", "merged", "main")
    run(*git, "gc", "-q", "--aggressive", "--prune=now")
    drop_caches()
    run(*git, "fsck", "--full", "--strict")
    expect(not run(*git, "status", "--porcelain").stdout, "not clean after a merge")
    run(*git, "push", "-q", "origin", "work")
    run(*GIT, "-C", origin, "fsck", "--full", "--strict")
    shutil.rmtree(clone)


def project_tar(path: pathlib.Path, sources: int):
    """A C project of some generated files, packed."""
    folder = path.with_suffix("")
    folder.mkdir()
    names = [f"part{number}" for number in range(sources)]
    for number, name in enumerate(names):
        (folder / f"{name}.c").write_text(f'#include "all.h"\nint {name}(int x) '
                                          f"{{ return x + {number}; }}\n")
    (folder / "all.h").write_text("".join(f"int {name}(int x);\n" for name in names))
    calls = "".join(f"    sum = {name}(sum);\n" for name in names)
    (folder / "main.c").write_text(f'#include "all.h"\n#include <stdio.h>\nint main(void) {{\n'
                                   f'    int sum = 0;\n{calls}    printf("%d\\n", sum);\n}}\n')
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(made C)\n"
        f"add_library(parts STATIC {' '.join(name + '.c' for name in names)})\n"
        "add_executable(made main.c)\ntarget_link_libraries(made parts)\n")
    with tarfile.open(path, "w") as tar:
        tar.add(folder, arcname="made", filter=with_whole_seconds)


def with_whole_seconds(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = int(entry.mtime)  # Fractions are rounded in tar's own way.
    return entry


def test_untar_and_compile(world, cluster):
    need("cmake", "ninja", "tar", "cc")
    count = world.pick(40, 300)
    project_tar(world.folder / "made.tar", count)
    top = cluster.mount / "compile"
    top.mkdir()
    run("tar", "-xf", world.folder / "made.tar", "-C", top)
    run("tar", "-df", world.folder / "made.tar", "-C", top)
    build = top / "build"
    run("cmake", "-G", "Ninja", "-S", top / "made", "-B", build)
    run("ninja", "-C", build)
    expect(run(build / "made").stdout.strip() == str(sum(range(count))), "a wrong sum")
    expect("no work to do" in run("ninja", "-C", build).stdout, "built again, with nothing changed")
    os.utime(top / "made" / "part1.c")
    again = run("ninja", "-C", build, "-v").stdout
    compiled = [line.rsplit("/", 1)[1] for line in again.splitlines() if " -c " in line]
    expect(compiled == ["part1.c"], f"not what changed was built:\n{again}")
    shutil.rmtree(top)


@only_long
@deadline(0, 3 * 3600)
def test_builds_this_project(world, cluster):
    need("cmake", "ninja", "git", "clang++-19")
    top = cluster.mount / "project"
    top.mkdir()
    with open(world.folder / "project.tar", "wb") as file:
        subprocess.run([*GIT, "-C", ROOT, "archive", "HEAD"], stdout=file, check=True)
    run("tar", "-xf", world.folder / "project.tar", "-C", top)
    run("cmake", "--preset", "release", cwd=top)
    run("ninja", "-C", top / "build/release", seconds=2 * 3600)
    run("ctest", "--test-dir", top / "build/release", "--output-on-failure", seconds=3600)
    shutil.rmtree(top)


@deadline(300, 1200)
def test_fio_verifies(world, cluster):
    need("fio")
    folder = cluster.mount / "fio"
    folder.mkdir()
    jobs = ["--name=verified", f"--directory={folder}", "--numjobs=20", "--rw=randrw",
            "--rwmixread=30", "--bsrange=512-128k", "--bs_unaligned",
            f"--size={world.pick(8, 64)}m", "--verify=crc32c", "--verify_fatal=1",
            "--verify_state_save=0", "--fallocate=none", "--group_reporting",
            "--ioengine=psync", f"--randseed={world.seed}", "--allrandrepeat=1"]
    run("fio", *jobs, "--fsync=64", "--do_verify=1", seconds=1000)
    drop_caches()
    run("fio", *jobs, "--verify_only", seconds=1000)
    cluster.restart()
    run("fio", *jobs, "--verify_only", seconds=1000)
    shutil.rmtree(folder)


def part_of_usr_share(bytes_most: int, files_most: int) -> list:
    """Folders of /usr/share that together are no more than that."""
    chosen, size, files = [], 0, 0
    for folder in sorted(pathlib.Path("/usr/share").iterdir()):
        if folder.is_symlink() or not folder.is_dir():
            continue
        inside = [path for path in folder.rglob("*") if not path.is_symlink() and path.is_file()]
        bytes_inside = sum(path.stat().st_size for path in inside)
        if size + bytes_inside <= bytes_most and files + len(inside) <= files_most:
            chosen.append(folder)
            size, files = size + bytes_inside, files + len(inside)
    return chosen


@deadline(300, 1800)
def test_rsync(world, cluster):
    need("rsync")
    folders = part_of_usr_share(world.pick(100 * MIB, 4 * GIB), world.pick(8000, 10**7))
    there = cluster.mount / "rsync"
    there.mkdir()
    copy = ["rsync", "-aHAX", "--delete", *folders, there]
    for _ in range(2):
        run(*copy, seconds=1500)
    drop_caches()
    difference = run(*copy, "--checksum", "--dry-run", "--itemize-changes", seconds=1500).stdout
    expect(not difference.strip(), f"rsync still finds differences:\n{difference[:3000]}")
    again = run(*copy, "--stats", seconds=1500).stdout
    expect("Number of regular files transferred: 0" in again, f"copied again:\n{again}")
    shutil.rmtree(there)


# Those of stress-ng's class "filesystem" that work on files where they are told to.
STRESSORS = """access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify dup
    fallocate fcntl fiemap filename flock fpunch fstat getdent hdd inotify io iomix lease link locka
    lockf lockofd mknod open rename symlink sync-file touch utime verity xattr""".split()


@deadline(300, 4500)
def test_stress_ng(world, cluster):
    need("stress-ng")
    folder = cluster.mount / "stress"
    folder.mkdir(mode=0o777)
    each = [option for name in STRESSORS for option in (f"--{name}", "1")]
    # What one of them may fill, so that together they do not reach the capacity.
    sizes = ["--hdd-bytes", "16m", "--fallocate-bytes", "16m", "--iomix-bytes", "16m",
             "--copy-file-bytes", "128m", "--sync-file-bytes", "16m", "--dirdeep-inodes", "4000"]
    seconds = world.pick(20, 3600)
    done = run("stress-ng", *each, *sizes, "--temp-path", folder, "--timeout", f"{seconds}s",
               "--verify", "--metrics-brief", "--no-rand-seed", "--oom-avoid", cwd=folder,
               seconds=seconds + 200, code=None)
    failures = [line for line in done.stdout.splitlines() if "fail:" in line]
    expect(not failures and done.returncode in (0, 3), f"exit code {done.returncode}\n"
           + "\n".join(failures[:30] or done.stdout.splitlines()[-30:]))
    left = [path for path in folder.rglob("*")]
    expect(not left, f"it left {len(left)} files, such as {left[:3]}")
    shutil.rmtree(folder)
    cluster.expect_clean("after stress-ng")


def map_shared(path, seed: int, part: int, parts: int, size: int):
    """Fills one process's pages of a shared mapping, in random order."""
    rng = random.Random(seed * 1000 + part)
    pages = [page for page in range(size // 4096) if page % parts == part]
    rng.shuffle(pages)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), size) as mapped:
        for page in pages:
            mapped[page * 4096:(page + 1) * 4096] = page_of(seed, page)
        mapped.flush()


def page_of(seed: int, page: int) -> bytes:
    return hashlib.sha256(f"{seed} {page}".encode()).digest() * (4096 // 32)


def test_mmap_shared(world, cluster):
    """Processes that share a mapping see each other, and reads see the mapping."""
    path = cluster.mount / "mapped"
    size, parts = world.pick(16 * MIB, 512 * MIB), 4
    with open(path, "wb") as file:
        file.truncate(size)
    children = []
    for part in range(parts):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                map_shared(path, world.seed, part, parts, size)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    expect(all(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 for child in children),
           "a process that maps the file failed")
    for when in ("at once", "after caches were dropped", "after a restart"):
        with open(path, "rb") as file:
            for page in range(size // 4096):
                expect(file.read(4096) == page_of(world.seed, page), f"page {page} is wrong {when}")
        if when == "at once":
            drop_caches()
        elif "dropped" in when:
            cluster.restart()
    os.unlink(path)


def test_is_sound_after_all(world, cluster):
    cluster.expect_clean("after all programs")
