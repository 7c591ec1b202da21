"""Processes that end with us, whatever ends us, and what they used."""

import os
import signal
import subprocess
import time
from pathlib import Path

from .trouble import Trouble

TICKS = os.sysconf("SC_CLK_TCK")


def environment(**variables):
    """Nothing of the caller's settings reaches what is measured."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "LC_ALL": "C", **variables}


class Process:
    """A program in the background.

    It has a process group of its own, so that Ctrl-C reaches us alone and we end
    it in our order; the session is ours, because Linux may share the cores by
    sessions. If we are killed, the kernel sends it the signal that ends it.
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
        """Polls until `ready()` is true; a program that ended meanwhile is trouble."""
        for _ in range(seconds * 20):
            if self.child.poll() is not None:
                break
            if ready():
                return
            time.sleep(0.05)
        raise Trouble(f"{self.name} did not start; its log:\n{self.log.read_text(errors='replace')[-4000:]}")

    def stop(self):
        if self.child.poll() is not None:
            return
        self.child.send_signal(self.signal)
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            for pid in self.family():
                os.kill(pid, signal.SIGKILL)
            self.child.wait()

    def family(self):
        """The process and its descendants, by pid."""
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            try:
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except OSError:
                continue
            found.append(pid)
            todo.extend(map(int, children))
        return found

    def cpu_seconds(self):
        """CPU time of the family, members that ended included."""
        total = 0
        for pid in self.family():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            # utime, stime, and of children that were waited for, cutime, cstime.
            total += sum(int(field) for field in fields[11:15])
        return total / TICKS

    def memory_mb(self, field="VmHWM"):
        """Resident memory of the family; VmHWM is each member's highest."""
        kilobytes = 0
        for pid in self.family():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            kilobytes += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith(field + ":"))
        return kilobytes / 1024


def run(command, doing, env=None, cwd=None, quiet=True, account=None):
    """Runs a program to its end; its output, or trouble with its last words."""
    wrapper = []
    if account:
        wrapper = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--"]
    try:
        done = subprocess.run(
            [*wrapper, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if quiet else None,
            stderr=subprocess.STDOUT if quiet else None,
            env=env,
            cwd=cwd,
            text=True,
        )
    except FileNotFoundError as error:
        raise Trouble(f"could not {doing}: there is no {error.filename}") from None
    if done.returncode != 0:
        raise Trouble(f"could not {doing} (exit code {done.returncode})\n{(done.stdout or '')[-4000:]}")
    return done.stdout or ""
