"""What the machine has, what it lacks, and how to get it."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import processes
from .trouble import Trouble

SERVER_PROGRAMS = ("initdb", "postgres", "psql", "pgbench")


def postgres_folder():
    """The newest folder with the server's programs and pgbench; PG_BIN_DIR decides."""
    named = os.environ.get("PG_BIN_DIR")
    if named:
        folders = [Path(named)]
    else:
        folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
        folders += Path("/usr/lib/postgresql").glob("*/bin")
    whole = [folder for folder in folders if all((folder / name).is_file() for name in SERVER_PROGRAMS)]
    return max(whole, key=postgres_version, default=None)


def postgres_version(folder):
    text = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True).stdout
    return [int(number) for number in re.findall(r"\d+", text.split("(PostgreSQL)")[-1])[:2]]


def can_make_venv():
    return subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0


def lacking():
    """Debian's packages for what is not here."""
    packages = []
    if not shutil.which("wrk"):
        packages.append("wrk")
    if not postgres_folder():
        packages += ["postgresql", "postgresql-contrib"]
    if not can_make_venv():
        packages.append("python3-venv")
    if not shutil.which("setpriv"):
        packages.append("util-linux")
    return packages


def provide():
    packages = lacking()
    if not packages:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Trouble(f"this machine lacks {', '.join(packages)}; as root: {' '.join(install)}")
    print(f"installing {', '.join(packages)}", flush=True)
    # RUNLEVEL: Debian starts no service of a package that it installs now.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    processes.run(["apt-get", "update"], "read Debian's package lists", env=env)
    processes.run(install, f"install {', '.join(packages)}", env=env)
    if lacking():
        raise Trouble(f"apt-get installed {', '.join(packages)}, and {', '.join(lacking())} is still not found")


def describe(postgres, venv_python):
    """Whatever somebody needs to judge the numbers."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.M)

    def says(command, pattern):
        try:
            done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)
        except FileNotFoundError:
            return "unknown"
        found = re.search(pattern, done.stdout + done.stderr)
        return found.group(1) if found else "unknown"

    packages = processes.run([venv_python, "-m", "pip", "freeze"], "list the Python packages")
    versions = dict(line.split("==") for line in packages.splitlines() if "==" in line)
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "memory_gb": round(int(memory.group(1)) / 1024 / 1024),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "postgresql": ".".join(map(str, postgres_version(postgres))),
        "python": says([venv_python, "--version"], r"Python (\S+)"),
        "wrk": says(["wrk", "--version"], r"wrk (?:debian/)?(\S+)"),
        "rust": says(["rustc", "--version"], r"rustc (\S+)"),
        **{name: versions.get(name, "unknown") for name in ("fastapi", "uvicorn", "uvloop", "httptools", "asyncpg", "orjson")},
    }
