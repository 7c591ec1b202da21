"""A private PostgreSQL in a temporary folder, which is deleted at the end."""

import os
import pwd
import secrets
import shutil
import socket
import tempfile
from pathlib import Path

from .processes import Process, environment, run
from .error import BenchError

# Settings of a small server. Checkpoints and autovacuum are off, because they could happen during
# the measurement of one server only.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "maintenance_work_mem": "256MB",
    "fsync": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1d",
    "autovacuum": "off",
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def account():
    """The account for PostgreSQL, which refuses root; `None` for the account of this process."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return entry
    raise BenchError("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")


def is_reachable(folder):
    """Whether every account may enter the folder and its parents."""
    folder = Path(folder).resolve()
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))


def temp_folder(owner):
    # /var/tmp before /tmp, which may be in memory: the data is about 2 GB.
    for parent in (os.environ.get("TMPDIR"), "/var/tmp", "/tmp"):
        if parent and os.path.isdir(parent) and (not owner or is_reachable(parent)):
            folder = Path(tempfile.mkdtemp(prefix="whoop-bench-", dir=parent))
            if owner:
                os.chown(folder, owner.pw_uid, owner.pw_gid)
            return folder
    raise BenchError("PostgreSQL's account may enter none of the folders for temporary files ($TMPDIR, /var/tmp, /tmp)")


class Postgres:
    def __init__(self, programs, memory_gb):
        self.programs, self.port, self.password = Path(programs), free_port(), secrets.token_hex(16)
        self.account = account()
        self.folder = temp_folder(self.account)
        self.process = None
        self.settings = {**SETTINGS, "shared_buffers": f"{min(2048, memory_gb * 256)}MB"}

    def start(self):
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        if self.account:
            os.chown(password_file, self.account.pw_uid, self.account.pw_gid)
        data = self.folder / "data"
        env = environment(HOME=str(self.folder))
        run(
            [self.programs / "initdb", "--no-sync", "--username=bench", "--auth=scram-sha-256", "--encoding=UTF8",
             "--locale=C", f"--pwfile={password_file}", f"--pgdata={data}"],
            "create a PostgreSQL cluster", env=env, cwd="/", account=self.account,
        )
        password_file.unlink()
        self.resume()
        self.psql("-c", "CREATE DATABASE bench", database="postgres")

    def resume(self):
        """Starts the server with the existing data."""
        settings = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        # SIGINT is PostgreSQL's fast shutdown.
        self.process = Process(
            "PostgreSQL", [self.programs / "postgres", "-D", self.folder / "data", "-p", self.port, *settings],
            self.folder.with_name(self.folder.name + ".log"), environment(HOME=str(self.folder)),
            end_with="INT", account=self.account, cwd="/",
        )
        self.process.wait_until(self.answers)

    def halt(self):
        """Stops the server and keeps its data."""
        self.process.stop()

    def answers(self):
        try:
            self.psql("-c", "SELECT 1", database="postgres")
        except BenchError:
            return False
        return True

    @property
    def url(self):
        return f"postgres://bench:{self.password}@127.0.0.1:{self.port}/bench"

    def client_environment(self):
        return environment(PGHOST="127.0.0.1", PGPORT=str(self.port), PGUSER="bench", PGPASSWORD=self.password)

    def psql(self, *arguments, database="bench"):
        command = [self.programs / "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
                   "--set=ON_ERROR_STOP=1", f"--dbname={database}", *arguments]
        return run(command, "query PostgreSQL", env=self.client_environment()).strip()

    def stop(self):
        if self.process:
            self.process.stop()
            self.process.log.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
