"""A PostgreSQL of our own, in a folder that goes when we do."""

import os
import pwd
import secrets
import shutil
import socket
import tempfile
from pathlib import Path

from .processes import Process, environment, run
from .trouble import Trouble

# What a small server would be given, and nothing that makes one side faster:
# no checkpoint and no autovacuum happens to fall into one side's turn.
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
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def account():
    """PostgreSQL refuses root; then it runs as somebody who owns nothing."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        if found.pw_uid != 0:
            return found
    raise Trouble("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")


def is_open(folder):
    """Whether every account can walk down to it."""
    folder = Path(folder).resolve()
    return all(one.stat().st_mode & 0o001 for one in (folder, *folder.parents))


def temp_folder(owner):
    # /var/tmp is a disk where /tmp may be memory, and the data is some 2 GB.
    for parent in (os.environ.get("TMPDIR"), "/var/tmp", "/tmp"):
        if parent and os.path.isdir(parent) and (not owner or is_open(parent)):
            folder = Path(tempfile.mkdtemp(prefix="whoop-bench-", dir=parent))
            if owner:
                os.chown(folder, owner.pw_uid, owner.pw_gid)
            return folder
    raise Trouble("there is no folder for temporary files that PostgreSQL's account may enter")


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
            "make a PostgreSQL cluster", env=env, cwd="/", account=self.account,
        )
        password_file.unlink()
        self.resume()
        self.psql("-c", "CREATE DATABASE bench", database="postgres")

    def resume(self):
        """Starts the server over the data that is there."""
        settings = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        # SIGINT is PostgreSQL's fast shutdown.
        self.process = Process(
            "PostgreSQL", [self.programs / "postgres", "-D", self.folder / "data", "-p", self.port, *settings],
            self.folder.with_name(self.folder.name + ".log"), environment(HOME=str(self.folder)),
            end_with="INT", account=self.account, cwd="/",
        )
        self.process.wait_until(self.answers)

    def halt(self):
        """Stops the server; the data stays."""
        self.process.stop()

    def answers(self):
        try:
            self.psql("-c", "SELECT 1", database="postgres")
        except Trouble:
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
        return run(command, "ask PostgreSQL", env=self.client_environment()).strip()

    def stop(self):
        if self.process:
            self.process.stop()
            self.process.log.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
