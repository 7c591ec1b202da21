"""Child processes that always end with this process, and the CPU time and memory that they use."""

import os
import signal
import subprocess
import time
from pathlib import Path

from .error import BenchError

TICKS = os.sysconf("SC_CLK_TCK")


def environment(**variables):
    """The environment for the measured programs, without the caller's settings."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**inherited, "LC_ALL": "C", **variables}


class Process:
    """A program in the background.

    It has a process group of its own, so that only this process gets Ctrl-C and ends its children in
    the right order. It is in the session of this process, because Linux may share the cores between
    sessions. If this process is killed, the kernel sends the child the signal that ends it.
    """

    def __init__(self, name, command, log, env, end_with="TERM", account=None, cwd=None):
        self.name, self.log, self.signal = name, Path(log), getattr(signal, f"SIG{end_with}")
        wrapper = ["setpriv", "--pdeathsig", end_with]
        if account:
            wrapper += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        with open(self.log, "wb") as out:
            self.child = subprocess.Popen(
                [*wrapper, "--", *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                process_group=0,
            )

    @property
    def pid(self):
        return self.child.pid

    def wait_until(self, ready, seconds=60):
        """Polls until `ready()` is true; raises an error if the program has ended, or after `seconds`."""
        for _ in range(seconds * 20):
            if self.child.poll() is not None:
                break
            if ready():
                return
            time.sleep(0.05)
        raise BenchError(f"{self.name} did not start; its log:\n{self.log.read_text(errors='replace')[-4000:]}")

    def stop(self):
        if self.child.poll() is not None:
            return
        self.child.send_signal(self.signal)
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            for pid in self.process_tree():
                os.kill(pid, signal.SIGKILL)
            self.child.wait()

    def process_tree(self):
        """The pids of the process and its descendants."""
        pids, queue = [], [self.pid]
        while queue:
            pid = queue.pop()
            try:
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except OSError:
                continue
            pids.append(pid)
            queue.extend(map(int, children))
        return pids

    def cpu_seconds(self):
        """CPU time of the process tree, including descendants that have ended."""
        total = 0
        for pid in self.process_tree():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            # utime and stime, and those of children that have ended: cutime and cstime.
            total += sum(int(field) for field in fields[11:15])
        return total / TICKS

    def memory_mb(self, field="VmHWM"):
        """Resident memory of the process tree; VmHWM is the maximum of each process."""
        kilobytes = 0
        for pid in self.process_tree():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            kilobytes += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith(field + ":"))
        return kilobytes / 1024


def run(command, task, env=None, cwd=None, quiet=True, account=None):
    """Runs a program to its end and returns its output. An error names the `task` and the end of the output."""
    wrapper = []
    if account:
        wrapper = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--"]
    try:
        process = subprocess.run(
            [*wrapper, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if quiet else None,
            stderr=subprocess.STDOUT if quiet else None,
            env=env,
            cwd=cwd,
            text=True,
        )
    except FileNotFoundError as error:
        raise BenchError(f"could not {task}: {error.filename} does not exist") from None
    if process.returncode != 0:
        raise BenchError(f"could not {task} (exit code {process.returncode})\n{(process.stdout or '')[-4000:]}")
    return process.stdout or ""
