"""Detects the machine and its programs, and installs missing programs."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import processes
from .error import BenchError

SERVER_PROGRAMS = ("initdb", "postgres", "psql", "pgbench")


def postgres_folder():
    """The folder with the newest server programs and pgbench, or PG_BIN_DIR if it is set."""
    configured = os.environ.get("PG_BIN_DIR")
    if configured:
        folders = [Path(configured)]
    else:
        folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
        folders += Path("/usr/lib/postgresql").glob("*/bin")
    complete = [folder for folder in folders if all((folder / name).is_file() for name in SERVER_PROGRAMS)]
    return max(complete, key=postgres_version, default=None)


def postgres_version(folder):
    text = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True).stdout
    return [int(number) for number in re.findall(r"\d+", text.split("(PostgreSQL)")[-1])[:2]]


def can_make_venv():
    return subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0


def missing_packages():
    """Debian's packages of the programs that are missing."""
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


def install_missing():
    packages = missing_packages()
    if not packages:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise BenchError(f"these packages are missing: {', '.join(packages)}; install them as root: {' '.join(install)}")
    print(f"installing {', '.join(packages)}", flush=True)
    # With RUNLEVEL=1 Debian starts no service of the packages that it installs.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    processes.run(["apt-get", "update"], "read Debian's package lists", env=env)
    processes.run(install, f"install {', '.join(packages)}", env=env)
    if missing_packages():
        raise BenchError(f"apt-get installed {', '.join(packages)}, but {', '.join(missing_packages())} is still missing")


def describe(postgres, venv_python):
    """Describes the machine and the versions of the programs, for the report."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.M)

    def version_of(command, pattern):
        try:
            process = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)
        except FileNotFoundError:
            return "unknown"
        match = re.search(pattern, process.stdout + process.stderr)
        return match.group(1) if match else "unknown"

    packages = processes.run([venv_python, "-m", "pip", "freeze"], "list the Python packages")
    versions = dict(line.split("==") for line in packages.splitlines() if "==" in line)
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "memory_gb": round(int(memory.group(1)) / 1024 / 1024),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "postgresql": ".".join(map(str, postgres_version(postgres))),
        "python": version_of([venv_python, "--version"], r"Python (\S+)"),
        "wrk": version_of(["wrk", "--version"], r"wrk (?:debian/)?(\S+)"),
        "rust": version_of(["rustc", "--version"], r"rustc (\S+)"),
        **{name: versions.get(name, "unknown") for name in ("fastapi", "uvicorn", "uvloop", "httptools", "asyncpg", "orjson")},
    }
