"""Databases on one mount: what they committed is there, also after they were killed."""

import contextlib
import os
import pathlib
import pwd
import random
import shutil
import signal
import sqlite3
import subprocess
import time

from cluster import GIB, MIB, Skip, deadline, drop_caches, expect, need, poll, run

SHARED = {"drive_bytes": 512 * MIB}
SHARED_LONG = {"drive_bytes": 4 * GIB}
ACCOUNTS, EACH = 100, 1000


def connected(path, mode: str):
    database = sqlite3.connect(path, timeout=60, isolation_level=None)
    database.execute(f"pragma journal_mode = {mode}")
    database.execute("pragma synchronous = full")
    return database


def move_money(path, mode: str, worker: int, seed: int, done_path: pathlib.Path, transfers: int):
    """Transfers between accounts; says of each committed one in a file outside of the mount."""
    rng = random.Random(seed * 100 + worker)
    with open(done_path, "w", buffering=1) as done:
        database = connected(path, mode)
        for number in range(transfers):
            one, other = rng.sample(range(ACCOUNTS), 2)
            database.execute("begin immediate")
            database.execute("update account set money = money - 1 where id = ?", (one,))
            database.execute("update account set money = money + 1 where id = ?", (other,))
            database.execute("insert into transfer values (?, ?, ?)", (worker, number, "x" * 200))
            database.execute("commit")
            done.write(f"{number}\n")
        database.close()


def start_movers(path, mode, world, transfers: int, count: int = 4) -> dict:
    children = {}
    for worker in range(count):
        done = done_path(world, mode, worker)
        done.write_bytes(b"")  # What it said before is not of these transfers.
        child = os.fork()
        if child == 0:
            code = 1
            try:
                move_money(path, mode, worker, world.seed, done, transfers)
                code = 0
            except sqlite3.Error as error:
                print(f"worker {worker}: {error}", flush=True)
            finally:
                os._exit(code)
        children[worker] = child
    return children


def done_path(world, mode: str, worker: int) -> pathlib.Path:
    return world.folder / f"{mode}-{worker}.done"


def check_bank(path, mode: str, world, workers):
    database = connected(path, mode)
    expect(database.execute("pragma integrity_check").fetchone()[0] == "ok", "integrity_check")
    total = database.execute("select sum(money), count(*) from account").fetchone()
    expect(total == (ACCOUNTS * EACH, ACCOUNTS), f"money came or went: {total}")
    for worker in workers:
        told = len(done_path(world, mode, worker).read_text().splitlines())
        rows = "select count(*), max(number) from transfer where worker = ?"
        count, last = database.execute(rows, (worker,)).fetchone()
        expect(count in (told, told + 1) and (count == 0 or last == count - 1),
               f"worker {worker} committed {told} transfers, {count} are there")
    database.close()


def check_sqlite(world, cluster, mode: str):
    path = cluster.mount / f"bank-{mode}.db"
    database = connected(path, mode)
    database.execute("create table account (id integer primary key, money integer)")
    database.execute("create table transfer (worker integer, number integer, note text)")
    accounts = [(number, EACH) for number in range(ACCOUNTS)]
    database.executemany("insert into account values (?, ?)", accounts)
    database.close()
    children = start_movers(path, mode, world, world.pick(60, 2000))
    codes = {w: os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for w, c in children.items()}
    expect(not any(codes.values()), f"a process failed: {codes}")
    check_bank(path, mode, world, children)

    # Killed in the middle: the next to open it rolls back or forward.
    reset = connected(path, mode)
    reset.execute("delete from transfer")
    reset.close()
    children = start_movers(path, mode, world, 10**9)
    poll("all transfer", lambda: all(os.path.getsize(done_path(world, mode, w)) > 50
                                     for w in children), 60)
    for child in children.values():
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    check_bank(path, mode, world, children)
    cluster.restart()
    check_bank(path, mode, world, children)


def test_sqlite_rollback(world, cluster):
    check_sqlite(world, cluster, "delete")


def test_sqlite_wal(world, cluster):
    check_sqlite(world, cluster, "wal")


def test_lmdb(world, cluster):
    """Processes write through one memory map; every commit is found by all."""
    if not pathlib.Path("/usr/include/lmdb.h").exists():
        raise Skip("not installed: liblmdb-dev")
    program = world.compile("lmdb_writers.cc", "-llmdb")
    folder = cluster.mount / "lmdb"
    folder.mkdir()
    run(program, folder, world.pick(4, 8), world.pick(300, 20000), seconds=1000)
    drop_caches()
    run(program, folder, "--check", world.pick(4, 8), world.pick(300, 20000))
    cluster.restart()
    run(program, folder, "--check", world.pick(4, 8), world.pick(300, 20000))


class Postgres:
    """A server of its own, as the user postgres, with its data on the mount."""

    def __init__(self, world, data: pathlib.Path):
        binaries = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not binaries:
            raise Skip("not installed: postgresql")
        self.binaries = binaries[-1].parent
        self.user = pwd.getpwnam("postgres")
        self.data = data
        self.socket = world.folder / "socket"
        self.log = world.folder / "postgres.log"
        self.process = None
        for folder in (self.data, self.socket):
            folder.mkdir(mode=0o700)
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)

    def command(self, name: str, *arguments) -> list:
        return ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}",
                "--clear-groups", str(self.binaries / name), *map(str, arguments)]

    def client(self, name: str, *arguments, **options):
        return run(*self.command(name, "-h", self.socket, *arguments), cwd="/", **options)

    def ask(self, query: str) -> str:
        return self.client("psql", "-XAtq", "-c", query, "postgres").stdout.strip()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command("postgres", "-D", self.data, "-k", self.socket, "-c",
                             "listen_addresses=", "-c", "shared_buffers=32MB"),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        poll("PostgreSQL is ready", self.is_ready, 120, 0.1)

    def is_ready(self) -> bool:
        expect(self.process.poll() is None, "PostgreSQL ended:\n" + self.log.read_text()[-3000:])
        return self.client("pg_isready", code=None).returncode == 0

    def kill(self):
        """The postmaster dies at once, and with it, soon, all it started."""
        children = children_of(self.process.pid)
        self.process.kill()
        self.process.wait()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        poll("all of PostgreSQL is gone", lambda: not any(
            pathlib.Path(f"/proc/{child}/exe").exists() for child in children))

    def stop(self):
        self.process.send_signal(signal.SIGINT)  # A fast shutdown.
        expect(self.process.wait(120) == 0, "PostgreSQL does not stop cleanly")


def children_of(pid: int) -> list:
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
            .split()]


def expect_balanced(postgres, committed: int):
    sums = postgres.ask("select (select sum(abalance) from pgbench_accounts), (select sum(bbalance)"
                        " from pgbench_branches), (select sum(tbalance) from pgbench_tellers),"
                        " (select coalesce(sum(delta), 0) from pgbench_history)").split("|")
    expect(len(set(sums)) == 1, f"the sums of what moved differ: {sums}")
    rows = int(postgres.ask("select count(*) from pgbench_history"))
    expect(rows >= committed, f"{committed} transactions were committed, {rows} are there")


def committed_in(folder: pathlib.Path) -> int:
    """Transactions that clients were told of: whole lines of their logs."""
    return sum(file.read_bytes().count(b"\n") for file in folder.glob("pgbench_log.*"))


@deadline(300, 1200)
def test_postgresql(world, cluster):
    need("setpriv")
    postgres = Postgres(world, cluster.mount / "postgres")
    run(*postgres.command("initdb", "-D", postgres.data, "-k", "-A", "trust", "-N"), cwd="/")
    postgres.start()
    try:
        postgres.client("pgbench", "-i", "-q", "-s", world.pick(2, 50), "postgres")
        done = postgres.client("pgbench", "-c", 4, "-T", world.pick(5, 120), "postgres")
        lines = [line for line in done.stdout.splitlines() if "tps" in line or "average" in line]
        world.note("pgbench: " + ", ".join(lines))
        postgres.ask("truncate pgbench_history; update pgbench_accounts set abalance = 0;"
                     "update pgbench_branches set bbalance = 0;"
                     "update pgbench_tellers set tbalance = 0")
        for _ in range(world.pick(2, 10)):
            kill_under_load(world, postgres)
        postgres.stop()
        run(*postgres.command("pg_checksums", "--check", "-D", postgres.data), cwd="/")
    finally:
        if postgres.process.poll() is None:
            postgres.kill()
    shutil.rmtree(postgres.data)


def kill_under_load(world, postgres):
    logs = world.folder / f"pgbench-{time.monotonic_ns()}"
    logs.mkdir()
    os.chown(logs, postgres.user.pw_uid, postgres.user.pw_gid)
    before = int(postgres.ask("select count(*) from pgbench_history"))
    load = subprocess.Popen(
        postgres.command("pgbench", "-h", postgres.socket, "-c", 4, "-T", 600, "-n", "-l",
                         "--log-prefix", logs / "pgbench_log", "postgres"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
    # Its logs are buffered: the first lines that show are a load that runs.
    poll("pgbench commits", lambda: committed_in(logs) > 50, 120, 0.05)
    postgres.kill()
    load.wait(60)
    committed = committed_in(logs)
    postgres.start()
    expect_balanced(postgres, before + committed)
