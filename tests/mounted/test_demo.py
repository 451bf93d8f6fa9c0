"""What a person does first: the README's commands, filesystems and their capacities."""

import errno
import json
import os
import pathlib
import shlex
import subprocess

from cluster import (GIB, KIB, MIB, ROOT, Failure, Skip, deadline, digest_of_file, expect,
                     expect_same_tree, make_tree, poll, run, space_of)

# Between what was written and what df shows: metadata, and what is rounded up to blocks.
SPACE_TOLERANCE = 4 * MIB


def test_life_cycle(world):
    with world.cluster() as cluster:
        welcome_seconds = cluster.start()
        world.note(f"first start in {welcome_seconds:.2f} s")
        tree = make_tree(cluster.mount / "tree", world.seed, 300)
        again = cluster.command(*cluster.start_command()[3:])
        expect(str(cluster.mount) in again.out, "a second start does not say where it is mounted")
        expect_same_tree(tree, cluster.mount / "tree", "after a second start")
        cluster.stop()
        expect(cluster.command("status", code=3).err, "status of a stopped cluster says nothing")
        cluster.command("demo", "stop")
        expect(not os.listdir(cluster.mount), "something is left in the mount's folder")
        world.note(f"resumed in {cluster.start():.2f} s")
        expect_same_tree(tree, cluster.mount / "tree", "after stop and start")
        cluster.expect_clean("after stop and start")
        cluster.command("demo", "remove", code=1)
        expect_same_tree(tree, cluster.mount / "tree", "after a removal that was not confirmed")
        cluster.remove()
        expect(not cluster.home.exists(), "files are left after 'weft demo remove'")
        cluster.command("status", code=3)
        cluster.command("demo", "remove", "--yes")
        cluster.start()
        expect(not os.listdir(cluster.mount), "a new cluster is not empty")


def test_takes_drives_away(world):
    """The README's list: status, drive fail 1, doctor --full, stop."""
    with world.cluster(drives=7) as cluster:
        cluster.start()
        tree = make_tree(cluster.mount / "tree", world.seed, 200, bytes_most=MIB)
        expect("healthy" in cluster.command("status").out, "status does not say healthy")
        cluster.command("drive", "fail", 1)
        expect_same_tree(tree, cluster.mount / "tree", "after 'weft drive fail 1'")
        more = make_tree(cluster.mount / "more", world.seed + 1, 200, bytes_most=MIB)
        cluster.wait_protected()
        states = {d["id"]: d["state"] for d in cluster.command("drive", "list", json=True).json()}
        expect(states[1] == "failed", f"the failed drive is {states[1]}")
        cluster.expect_clean("after a drive failed")
        cluster.restart()
        expect_same_tree(tree, cluster.mount / "tree", "after stop and start without the drive")
        expect_same_tree(more, cluster.mount / "more", "after stop and start without the drive")
        cluster.expect_clean("after a drive failed and a restart")


def test_json_and_exit_codes(world):
    with world.cluster() as cluster:
        cluster.command("status", code=3)
        cluster.command("nonsense", code=2)
        cluster.command("fs", "create", code=2)
        cluster.command("fs", "create", "x", "--size", "many", code=2)
        cluster.command("demo", "start", "--scheme", "4+9", code=2)
        cluster.command("demo", "start", "--drives", "2", code=2)
        cluster.command("--help")
        cluster.start()
        for arguments in (["status"], ["fs", "list"], ["drive", "list"], ["doctor"],
                          ["doctor", "--full"], ["demo", "start"],
                          ["fs", "create", "made", "--size", "64M"],
                          ["fs", "resize", "made", "--size", "128M"],
                          ["mount", "made", world.folder / "made"],
                          ["umount", world.folder / "made"], ["fs", "remove", "made", "--yes"]):
            outcome = cluster.command(*arguments, json=True)
            try:
                outcome.json()
            except json.JSONDecodeError as wrong:
                raise Failure(f"weft {arguments} --json: {wrong}:\n{outcome.out}")
        expect_completions(cluster)
        status = cluster.status()
        for name in ("name", "epoch", "drives", "filesystems", "mounts", "protection", "free_bytes",
                     "counters", "resident_bytes"):
            expect(name in status, f"status --json has no '{name}'")
        expect(len(status["drives"]) == cluster.drives, "status does not list all drives")
        for arguments in (["fs", "resize", "unknown", "--size", "1G"], ["fs", "create", "demo",
                          "--size", "1G"], ["fs", "remove", "unknown", "--yes"],
                          ["mount", "unknown", world.folder / "m"], ["drive", "fail", "77"],
                          ["umount", world.folder], ["fs", "remove", "demo"]):
            expect(cluster.command(*arguments, code=1).err.startswith("weft: "),
                   f"weft {arguments} fails without saying why")


def expect_completions(cluster):
    """What bash offers where; the choices that come of the cluster, too."""
    script = cluster.command("completion", "bash").out
    offers = {"fs": "create list resize remove", "demo": "start stop remove", "mount": "demo",
              "fs remove": "demo", "drive fail": " ".join(map(str, range(cluster.drives)))}
    for typed, expected in offers.items():
        words = [str(cluster.program), *typed.split(), ""]
        line = f"""{script}
            COMP_WORDS=({" ".join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1}
            _weft; echo "${{COMPREPLY[*]}}" """
        done = run("bash", "-eu", "-c", line, env={**os.environ, "WEFT_CLUSTER": str(cluster.home)})
        expect(done.stdout.strip() == expected, f"after '{typed}' bash offers {done.stdout}")


def write_file(path, size: int):
    """All of it, durable; gives how much fitted."""
    piece = os.urandom(MIB)
    written = 0
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        while written < size:
            written += os.write(file, piece[:min(MIB, size - written)])
        os.fsync(file)
    except OSError as error:
        expect(error.errno == errno.ENOSPC, f"{error}, not ENOSPC, after {written} bytes")
    finally:
        try:
            os.close(file)
        except OSError as error:
            expect(error.errno == errno.ENOSPC, f"{error} of close, not ENOSPC")
    return written


def expect_near(got: int, expected: int, what: str):
    expect(abs(got - expected) <= SPACE_TOLERANCE,
           f"{what}: {got / MIB:.1f} MiB, not about {expected / MIB:.1f} MiB")


def test_capacities(world):
    """Several filesystems, each with its own limit; df is true at once; resized in use."""
    with world.cluster() as cluster:
        cluster.start()
        one, two = world.folder / "one", world.folder / "two"
        cluster.command("fs", "create", "one", "--size", "100M")
        cluster.command("fs", "create", "two", "--size", "1T")  # Thin: more than there is.
        cluster.command("mount", "one", one)
        cluster.command("mount", "two", two)
        expect(space_of(one).total == 100 * MIB, f"df of 100M: {space_of(one).total} bytes")
        expect(space_of(two).total == 1024 * GIB, f"df of 1T: {space_of(two).total} bytes")

        write_file(one / "file", 40 * MIB)
        expect_near(space_of(one).used, 40 * MIB, "df at once after 40 MiB")
        expect_near(space_of(two).used, 0, "df of the neighbour")
        os.truncate(one / "file", 10 * MIB)
        expect_near(space_of(one).used, 10 * MIB, "df at once after a truncation")
        os.unlink(one / "file")
        expect_near(space_of(one).used, 0, "df at once after a deletion")

        fitted = write_file(one / "file", 200 * MIB)
        expect_near(fitted, 100 * MIB, "what fits into 100M")
        write_file(two / "file", 10 * MIB)
        cluster.command("fs", "resize", "one", "--size", "150M")
        expect(space_of(one).total == 150 * MIB, "df after growing")
        fitted = write_file(one / "more", 200 * MIB)
        expect_near(fitted, 50 * MIB, "what fits after growing by 50M")

        cluster.command("fs", "resize", "one", "--size", "50M")  # Below what is used.
        expect(space_of(one).free == 0, "df has free space above the capacity")
        expect(write_file(one / "third", MIB) < MIB, "writable above the capacity")
        os.unlink(one / "file")
        os.unlink(one / "more")
        fitted = write_file(one / "third", 200 * MIB)
        expect_near(fitted, 50 * MIB, "what fits after shrinking to 50M")
        cluster.expect_clean("after capacities were reached")


def test_mounts(world):
    with world.cluster() as cluster:
        cluster.start()
        one, two = world.folder / "one", world.folder / "two"
        cluster.command("fs", "create", "one", "--size", "100M")
        cluster.command("mount", "one", one)
        tree = make_tree(one / "tree", world.seed, 100)
        cluster.command("fs", "create", "one", "--size", "1M", code=1)
        cluster.command("fs", "remove", "one", "--yes", code=1)  # It is mounted.
        with open(one / "held", "w"):
            cluster.command("umount", one, code=1)  # It is in use.
        expect_same_tree(tree, one / "tree", "after an unmount that was refused")
        os.unlink(one / "held")
        cluster.command("umount", one)
        expect(not os.path.ismount(one), "still mounted after 'weft umount'")
        cluster.command("mount", "one", two)
        expect_same_tree(tree, two / "tree", "at another path")
        cluster.command("mount", "one", one)
        (one / "seen").write_text("by the other mount")
        expect((two / "seen").read_text() == "by the other mount", "two mounts do not agree")
        os.rename(two / "seen", two / "moved")
        poll("a rename is seen by the other mount", lambda: not (one / "seen").exists(), 5)
        os.unlink(two / "moved")
        names = {m["path"]: m["filesystem"] for m in cluster.status()["mounts"]}
        expect(names.get(str(one)) == "one" and names.get(str(two)) == "one", f"mounts: {names}")
        cluster.command("umount", two)
        cluster.restart()
        if not os.path.ismount(one):
            cluster.command("mount", "one", one)
        expect_same_tree(tree, one / "tree", "after a restart")
        cluster.command("umount", one)
        cluster.command("fs", "remove", "one", "--yes")
        cluster.command("mount", "one", one, code=1)
        cluster.command("fs", "create", "one", "--size", "100M")
        cluster.command("mount", "one", one)
        expect(not os.listdir(one), "a filesystem of a used name is not empty")
        cluster.expect_clean("after filesystems came and went")


def times_mounted(path) -> int:
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    return sum(line.split()[1] == str(path) for line in mounts)


def test_killed_and_started_again(world):
    """What a killed process had mounted is mounted once after the next start, and then gone."""
    with world.cluster() as cluster:
        cluster.start()
        tree = make_tree(cluster.mount / "tree", world.seed, 50)
        for _ in range(2):
            os.stat(cluster.mount)  # Cached by the kernel, for longer than the process lives.
            cluster.kill()
            cluster.start()
            expect(times_mounted(cluster.mount) == 1,
                   f"mounted {times_mounted(cluster.mount)} times after a kill and a start")
            expect_same_tree(tree, cluster.mount / "tree", "after a kill and a start")
        cluster.kill()
        cluster.command("umount", cluster.mount)
        expect(times_mounted(cluster.mount) == 0, "'weft umount' leaves what has died")
        cluster.start()
        cluster.kill()
        cluster.command("demo", "stop")
        expect(times_mounted(cluster.mount) == 0, "'weft demo stop' leaves what has died")
        cluster.start()
        cluster.kill()
        cluster.command("demo", "remove", "--yes")
        expect(times_mounted(cluster.mount) == 0, "'weft demo remove' leaves what has died")


def test_what_cannot_be_mounted_or_added(world):
    """The process would wait for itself; and what fails changes nothing."""
    with world.cluster() as cluster:
        cluster.start()
        cluster.command("mount", "--in-process", "demo", cluster.mount / "inner", code=1)
        cluster.command("drive", "add", cluster.mount / "drive", "--size", "256M", code=1)
        link = cluster.folder / "link"
        link.symlink_to(cluster.mount)
        cluster.command("drive", "add", link / "drive", "--size", "256M", code=1)
        cluster.command("mount", "--in-process", "demo", link / "inner", code=1)
        apart = cluster.folder / "apart"
        cluster.command("mount", "demo", apart)
        for path in (apart, apart / "inner", link, cluster.folder / "link" / ".." / "apart"):
            cluster.command("mount", "--in-process", "demo", path, code=1, seconds=30)
        expect(times_mounted(apart) == 1, "it is mounted twice at one path")
        cluster.command("drive", "replace", 1, "/no/such/folder/drive", code=1)
        states = {d["state"] for d in cluster.command("drive", "list", json=True).json()}
        expect(states == {"active"}, f"drives are {states} after a replacement that failed")
        cluster.command("fs", "create", b"\xff".decode(errors="surrogateescape"), "--size", "1G",
                        code=1)
        expect(cluster.answers(), "nothing answers at the mount")


def test_a_drive_that_holds_something_is_refused(world):
    """And what was refused is forgotten: the next start does not look for it."""
    with world.cluster() as cluster:
        cluster.start()
        file = cluster.folder / "precious"
        file.write_bytes(os.urandom(64 * MIB))
        before = digest_of_file(file)
        refused = cluster.command("drive", "add", file, code=1).err
        expect("--overwrite" in refused, f"it does not say what to do: {refused}")
        expect(digest_of_file(file) == before, "a file was formatted that was not to be")
        link = cluster.folder / "link"
        link.symlink_to(cluster.drive_paths()[0])
        cluster.command("drive", "add", link, code=1)
        listed = json.loads((cluster.home / "process.json").read_text())["drives"]
        expect(len(listed) == cluster.drives, f"process.json lists {listed}")
        cluster.restart()
        cluster.expect_clean("after drives that were refused")


def test_a_process_file_that_cannot_be_read(world):
    """It is not taken for a cluster that is not there: its drives stay."""
    with world.cluster() as cluster:
        cluster.start()
        tree = make_tree(cluster.mount / "tree", world.seed, 20)
        cluster.stop()
        file = cluster.home / "process.json"
        text = file.read_text()
        for wrong in ("loop", "gone"):
            file.unlink()
            if wrong == "loop":
                file.symlink_to("process.json")
            cluster.command(*cluster.start_command()[3:], code=1)
            expect(len(list((cluster.home / "drives").iterdir())) == cluster.drives,
                   f"drives were removed: process.json is {wrong}")
        file.write_text(text)
        cluster.start()
        expect_same_tree(tree, cluster.mount / "tree", "after process.json came back")
        cluster.stop()
        # A first start that was cut off is done again.
        cluster.remove()
        cluster.home.mkdir()
        (cluster.home / "drives").mkdir()
        half_made = cluster.home / "drives" / "0.drive"
        half_made.write_bytes(b"Weft")
        file.write_text(json.dumps({"creating": True, "drives": [str(half_made)]}))
        cluster.start()


def test_stale_files(world):
    """What dead processes have left names others by now: nothing happens to those."""
    with world.cluster() as cluster, subprocess.Popen(["sleep", "1000"]) as other:
        try:
            starts = [subprocess.Popen(cluster.start_command(), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL) for _ in range(2)]
            expect([start.wait(120) for start in starts] == [0, 0], "two starts at once fail")
            cluster.stop()
            (cluster.home / "weft.pid").write_text(f"{other.pid}\n")
            cluster.start()
            apart = cluster.folder / "apart"
            cluster.mount_apart(apart)
            state = next((cluster.home / "mounts").glob("*.json"))
            left = json.loads(state.read_text())
            cluster.command("umount", apart)
            run("mount", "-t", "tmpfs", "none", apart)
            state.write_text(json.dumps({**left, "pid": other.pid}))
            cluster.command("umount", apart)
            expect(os.path.ismount(apart), "a mount of somebody else was unmounted")
            expect(not state.exists(), "a stale state file stays")
            state.write_text(json.dumps({**left, "pid": other.pid}))
            (cluster.home / "mine").write_text("not Weft's")
            cluster.remove()
            expect(os.path.ismount(apart), "a removal unmounted what is somebody else's")
            run("umount", apart)
            expect(other.poll() is None, "a process was killed that is not Weft's")
            expect(os.listdir(cluster.home) == ["mine"], "a removal takes or leaves the wrong files")
        finally:
            other.kill()


def test_a_start_that_fails_late(world):
    """Nothing is left mounted, and no assertion speaks."""
    with world.cluster() as cluster:
        failed = cluster.command(*cluster.start_command()[3:], "--listen", "192.0.2.1:7791", code=1)
        expect(failed.err, "a start that fails says nothing")
        expect(times_mounted(cluster.mount) == 0, "a start that failed leaves a mount")
        log = (cluster.home / "weft.log").read_text()
        expect("check failed" not in log, f"it aborts:\n{log}")
        cluster.start()
        # By other means than Weft's: forgotten as well, so that it can be mounted again.
        inner = cluster.folder / "inner"
        cluster.command("mount", "--in-process", "demo", inner)
        run("umount", inner)
        cluster.command("umount", inner)
        for _ in range(2):
            cluster.command("mount", "--in-process", "demo", inner)
            run("umount", inner)
        mounts = json.loads((cluster.home / "process.json").read_text())["mounts"]
        expect([m["path"] for m in mounts].count(str(inner)) == 1, f"process.json has {mounts}")
        deep = cluster.folder / ("x" * 100)
        said = run(str(cluster.program), "--cluster", deep, "demo", "start", code=2).stdout
        expect("too long" in said, f"a path that is too long: {said}")


@deadline(600, 600)
def test_weft_demo(world):
    """The README's first command, as it is typed, and then what it says to type."""
    if world.build != ROOT / "build" / "release":
        raise Skip("the script starts build/release, which is not what is tested")
    with world.cluster() as cluster:
        place = ["--cluster", cluster.home.name, "--mount", cluster.mount.name,
                 "--drive-size", "256M"]
        script = os.path.relpath(ROOT / "weft-demo", cluster.folder)
        output = run(script, *place, seconds=500, cwd=cluster.folder).stdout
        expect(str(cluster.mount) in output, f"it does not say where it is mounted:\n{output}")
        expect(cluster.answers(), "nothing answers at the mount")
        (cluster.mount / "file").write_bytes(os.urandom(64 * KIB))
        hints = [line.strip().split("   ")[0] for line in output.splitlines()
                 if line.startswith("  ")]
        expect(len(hints) >= 6, f"it does not say what to try:\n{output}")
        for hint in hints:
            hint = hint.replace("/usr/share/doc", "/etc/default")
            hint += " --once" if hint.endswith(" top") else ""
            hint += " --yes" if hint.endswith(" remove") else ""
            run("sh", "-c", hint, cwd=cluster.folder, code=None if "status" in hint else 0)
        expect(not cluster.home.exists() and times_mounted(cluster.mount) == 0,
               "something is left after the last of its hints")
