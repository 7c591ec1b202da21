"""The load: wrk against a server, pgbench against PostgreSQL alone."""

import json
import resource
import subprocess
from pathlib import Path

from . import members as made_up
from .processes import TICKS, environment
from .trouble import Trouble

SCRIPT = Path(__file__).parent.parent / "wrk" / "load.lua"
CONNECTIONS = 16


class Load:
    """One kind of load; `turn` makes one measurement of it."""

    # What is asked of each kind, and by whom.
    connections = CONNECTIONS

    def __init__(self, name, postgres, raw):
        self.name, self.postgres, self.raw = name, postgres, raw
        self.turns = []

    def warm_up(self, seconds, seed):
        self.measure(seconds, seed)

    def turn(self, seconds, seed):
        before = self.cpu()
        result, output = self.measure(seconds, seed)
        after = self.cpu()
        done = max(result["requests"], 1)
        spent = {who: after[who] - before[who] for who in after}
        all_time, all_busy = spent.pop("machine"), spent.pop("busy")
        for who, seconds_of_cpu in spent.items():
            result[f"{who}_cpu_us"] = seconds_of_cpu / done * 1e6
        result["elsewhere"] = max(0.0, all_busy - sum(spent.values())) / all_time
        mode = "w" if not self.turns else "a"
        with open(self.raw / f"{self.name}.txt", mode) as file:
            file.write(f"== turn {len(self.turns) + 1}, seed {seed}\n{output}\n")
        self.turns.append(result)
        return result

    def cpu(self):
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        with open("/proc/stat") as file:
            # user, nice, system, idle, iowait, irq, softirq, steal
            jiffies = [int(field) for field in file.readline().split()[1:9]]
        return {
            "machine": sum(jiffies) / TICKS,
            # What a hypervisor took away is as bad as another program.
            "busy": (sum(jiffies[:3]) + jiffies[7]) / TICKS,
            "client": children.ru_utime + children.ru_stime,
            "postgres": self.postgres.process.cpu_seconds(),
        }


class Wrk(Load):
    def __init__(self, name, postgres, raw, server, crowd, members, connections=CONNECTIONS, headers=(), **arguments):
        super().__init__(name, postgres, raw)
        self.server, self.crowd, self.members = server, crowd, members
        self.connections, self.headers, self.arguments = connections, headers, arguments

    def cpu(self):
        return {**super().cpu(), "server": self.server.process.cpu_seconds()}

    def measure(self, seconds, seed):
        arguments = {
            "seed": seed,
            "first": made_up.FIRST + self.crowd.first - 1,
            "members": self.crowd.members,
            "newest": self.members.newest_seconds,
            "days": self.crowd.days,
            **self.arguments,
        }
        headers = (f"Authorization: Bearer {self.server.key}", *self.headers)
        command = [
            "wrk", "--threads", "1", "--connections", str(self.connections), "--duration", f"{seconds}s",
            "--timeout", "5s", "--latency", "--script", str(SCRIPT),
            *(part for header in headers for part in ("--header", header)),
            self.server.address, "--", *(f"{name}={value}" for name, value in arguments.items()),
        ]
        output = speak(command, environment(), seconds)
        found = [line for line in output.splitlines() if line.startswith("RESULT ")]
        if not found:
            raise Trouble(f"wrk said nothing of use for {self.name}:\n{output[-2000:]}")
        told = json.loads(found[0].removeprefix("RESULT "))
        return {
            "requests": told["requests"],
            "per_second": told["requests"] / (told["microseconds"] / 1e6),
            "p50_ms": told["p50_us"] / 1000,
            "p99_ms": told["p99_us"] / 1000,
            "bytes_each": told["bytes"] / max(told["requests"], 1),
            "errors": told["errors"] + (told["requests"] == 0),
            "rss_mb": self.server.process.memory_mb("VmRSS"),
        }, output.replace(str(Path.cwd()), ".")


class Pgbench(Load):
    """It connects anew in each turn, so its first second, when no connection has
    a plan yet, does not count."""

    def __init__(self, name, postgres, raw, script):
        super().__init__(name, postgres, raw)
        self.script = script

    def measure(self, seconds, seed):
        folder = self.script.parent
        for old in folder.glob("transactions.*"):
            old.unlink()
        command = [
            str(self.postgres.programs / "pgbench"), "--no-vacuum", "--protocol=prepared",
            f"--client={self.connections}", "--jobs=1", f"--time={seconds + 1}", f"--random-seed={seed}",
            f"--file={self.script.name}", "--log", "--log-prefix=transactions", "bench",
        ]
        output = speak(command, self.postgres.client_environment(), seconds + 1, cwd=folder)
        told = dict(read_lines(output))
        # Each line: client, transaction, microseconds, script, end in seconds and microseconds.
        lines = [
            line.split()
            for file in folder.glob("transactions.*")
            for line in file.read_text().splitlines()
        ]
        ends = [(int(line[4]) + int(line[5]) / 1e6, int(line[2])) for line in lines if line[2].isdigit()]
        if not ends or "requests" not in told:
            raise Trouble(f"pgbench said nothing of use:\n{output[-2000:]}")
        first = min(ends)[0] + 1
        took = sorted(microseconds for end, microseconds in ends if first <= end < first + seconds)
        p50, p99 = (percentile(took, share) / 1000 for share in (0.5, 0.99))
        per_second = len(took) / seconds
        return {
            "requests": told["requests"],
            "per_second": per_second,
            "p50_ms": p50,
            "p99_ms": p99,
            "errors": told.get("failed", 0),
        }, output + f"after the first second: {per_second:.0f} a second, p50 {p50:.3f} ms, p99 {p99:.3f} ms\n"


def read_lines(output):
    """The numbers of pgbench's summary."""
    for line in output.splitlines():
        name, _, value = line.partition(": ")
        number = value.split()[0].split("/")[0] if value else ""
        if name.startswith("number of transactions actually processed"):
            yield "requests", int(number)
        elif name.startswith("number of failed transactions"):
            yield "failed", int(number)


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def speak(command, env, seconds, cwd=None):
    """Runs a load generator; Ctrl-C ends it with us."""
    child = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, text=True,
        cwd=cwd, process_group=0,
    )
    try:
        output, _ = child.communicate(timeout=seconds + 60)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    if child.returncode != 0:
        raise Trouble(f"{command[0]} failed with exit code {child.returncode}:\n{output[-2000:]}")
    return output
