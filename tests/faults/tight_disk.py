"""A small disk of its own under the tables that intake fills, full to its last page: PostgreSQL says SQLSTATE 53100.

The disk is a tmpfs that only the server sees: it is mounted in a mount namespace which the server is started in, so it
goes away with the server, however that ends, and nobody has to clear up. Root may do that, and an ordinary user where
the kernel lets users have namespaces. The data directory and the log stay where they are: with no room for its log
PostgreSQL ends, which is another fault (cell 8).
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.faults.waiting import until
from tests.faults.world import World

NAME = "tight"
TABLES = ("inbox", "movement")
ROOM_BYTES = 16 * 1024 * 1024
WITHIN_S = 60.0
PATIENCE = "SET lock_timeout = '3s'"
"""Whoever has what we wait for is not kept from others for longer; then once more."""
_MOUNT = 'mount -t tmpfs -o "size=$0,mode=700$1" tmpfs "$2" && shift 2 && exec "$@"'


class TightDisk:
    """The disk while the server runs on it."""

    def __init__(self, world: World, size: int) -> None:
        self.size = size
        self._world = world

    def fill(self) -> str:
        """Leave not a page of it free; what the server says about that.

        Raises:
            AssertionError: it says something else than that the disk is full.
        """
        # What an insertion that failed has taken stays taken: nobody tidies up this table.
        made = f"CREATE TABLE ballast (words text STORAGE PLAIN) WITH (autovacuum_enabled = off) TABLESPACE {NAME}"
        pages = self.size // 8192
        with psycopg.connect(self._world.dsn, autocommit=True) as connection:
            connection.execute(made.encode())
            try:
                connection.execute("INSERT INTO ballast SELECT repeat('x', 7000) FROM generate_series(1, %s)", [pages])
            except psycopg.errors.DiskFull as full:
                return f"{full.sqlstate} {str(full).splitlines()[0]}"
        raise AssertionError(f"{self.size} bytes have room for {pages} pages and more")

    def clear(self) -> None:
        """There is room again."""
        with psycopg.connect(self._world.dsn, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS ballast")


@contextmanager
def tight_disk(world: World) -> Iterator[TightDisk]:
    """The tables lie on it; afterwards they lie where they were, and the server runs as before."""
    server, folder = world.children["postgres"], world.state / "pg" / NAME
    folder.mkdir()
    used = world.rows("SELECT sum(pg_total_relation_size(name::regclass))::bigint AS n FROM unnest(%s::text[]) name",
                      list(TABLES))[0]["n"]  # fmt: skip
    argv, disk = list(server.argv), TightDisk(world, int(used) + ROOM_BYTES)
    server.argv = [*_mounting(disk.size, folder, world.state / "pg" / "postgres"), *argv]
    try:
        world.restart("postgres")
        until(lambda: _compact(world), WITHIN_S, "tables without free pages")
        until(lambda: _moved(world, f"CREATE TABLESPACE {NAME} LOCATION '{folder}'", NAME), WITHIN_S, "the move there")
        try:
            yield disk
        finally:
            disk.clear()
            until(lambda: _moved(world, "", "pg_default"), WITHIN_S, "the move back")
            with psycopg.connect(world.dsn, autocommit=True) as connection:
                connection.execute(f"DROP TABLESPACE {NAME}".encode())
    finally:
        server.argv = argv
        world.restart("postgres")


def refusal(world: World) -> str:
    """Why this machine does not let a server have a disk of its own; empty: it does."""
    folder = world.state / "pg" / f"{NAME}-tried"
    folder.mkdir(exist_ok=True)
    try:
        tried = subprocess.run(
            [*_mounting(1024 * 1024, folder, folder), "true"], capture_output=True, text=True, check=False, timeout=30
        )
    except OSError as error:
        return str(error)
    finally:
        folder.rmdir()
    return "" if tried.returncode == 0 else tried.stderr.strip().splitlines()[-1] if tried.stderr else "no word"


def _mounting(size: int, folder: Path, owned_like: Path) -> list[str]:
    """What runs a command with a tmpfs of so many bytes on this folder, which nobody else sees."""
    unshare, owner = shutil.which("unshare") or "unshare", owned_like.stat()
    script = ["/bin/sh", "-c", _MOUNT, str(size)]
    if os.geteuid() == 0:
        return [unshare, "--mount", *script, f",uid={owner.st_uid},gid={owner.st_gid}", str(folder)]
    # Root of a namespace may mount in it; PostgreSQL refuses to be root, of whatever.
    back = [unshare, "--user", f"--map-user={os.geteuid()}", f"--map-group={os.getegid()}"]
    return [unshare, "--user", "--map-root-user", "--mount", *script, "", str(folder), *back]


def _compact(world: World) -> bool:
    """Nothing is free in the pages that the tables have, but for the last one."""
    with psycopg.connect(world.dsn, autocommit=True) as connection:
        connection.execute(PATIENCE)
        for name in TABLES:
            connection.execute(sql.SQL("VACUUM FULL {}").format(sql.Identifier(name)))
    return True


def _moved(world: World, first: str, to: str) -> bool:
    """Move the tables and their indexes, all or none."""
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = ANY(%s)"
    with psycopg.connect(world.dsn, autocommit=True) as connection:
        there = connection.execute("SELECT 1 FROM pg_tablespace WHERE spcname = %s", [NAME]).fetchone()
        if first and not there:
            connection.execute(first.encode())
        connection.execute(PATIENCE)
        with connection.transaction():
            for (name,) in connection.execute(indexes, [list(TABLES)]).fetchall():
                connection.execute(sql.SQL("ALTER INDEX {} SET TABLESPACE {}").format(*map(sql.Identifier, (name, to))))
            for name in TABLES:
                connection.execute(sql.SQL("ALTER TABLE {} SET TABLESPACE {}").format(*map(sql.Identifier, (name, to))))
    return True
