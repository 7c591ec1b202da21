"""The load generators: wrk for a server, pgbench for PostgreSQL alone."""

import json
import resource
import subprocess
from pathlib import Path

from .error import BenchError
from .members import FIRST_USER_NUMBER
from .processes import TICKS, environment

SCRIPT = Path(__file__).parent.parent / "wrk" / "load.lua"
CONNECTIONS = 16


class Load:
    """One kind of load; `measure_once` performs one measurement of it."""

    connections = CONNECTIONS

    def __init__(self, name, postgres, raw):
        self.name, self.postgres, self.raw = name, postgres, raw
        self.turns = []

    def warm_up(self, seconds, seed):
        self.measure(seconds, seed)

    def measure_once(self, seconds, seed):
        before = self.cpu()
        result, output = self.measure(seconds, seed)
        after = self.cpu()
        requests = max(result["requests"], 1)
        used = {process: after[process] - before[process] for process in after}
        total_time, busy_time = used.pop("machine"), used.pop("busy")
        for process, cpu_seconds in used.items():
            result[f"{process}_cpu_us"] = cpu_seconds / requests * 1e6
        # The share of the machine that other programs or the hypervisor took.
        result["elsewhere"] = max(0.0, busy_time - sum(used.values())) / total_time
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
            # Time that the hypervisor took away (steal) counts like that of another program.
            "busy": (sum(jiffies[:3]) + jiffies[7]) / TICKS,
            "client": children.ru_utime + children.ru_stime,
            "postgres": self.postgres.process.cpu_seconds(),
        }


class Wrk(Load):
    def __init__(self, name, postgres, raw, server, group, members, connections=CONNECTIONS, headers=(), **arguments):
        super().__init__(name, postgres, raw)
        self.server, self.group, self.members = server, group, members
        self.connections, self.headers, self.arguments = connections, headers, arguments

    def cpu(self):
        return {**super().cpu(), "server": self.server.process.cpu_seconds()}

    def measure(self, seconds, seed):
        arguments = {
            "seed": seed,
            "first": FIRST_USER_NUMBER + self.group.first - 1,
            "members": self.group.members,
            "newest": self.members.newest_seconds,
            "days": self.group.days,
            **self.arguments,
        }
        headers = (f"Authorization: Bearer {self.server.key}", *self.headers)
        command = [
            "wrk", "--threads", "1", "--connections", str(self.connections), "--duration", f"{seconds}s",
            "--timeout", "5s", "--latency", "--script", str(SCRIPT),
            *(part for header in headers for part in ("--header", header)),
            self.server.address, "--", *(f"{name}={value}" for name, value in arguments.items()),
        ]
        output = run_generator(command, environment(), seconds)
        lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
        if not lines:
            raise BenchError(f"the output of wrk for {self.name} has no line RESULT:\n{output[-2000:]}")
        summary = json.loads(lines[0].removeprefix("RESULT "))
        return {
            "requests": summary["requests"],
            "per_second": summary["requests"] / (summary["microseconds"] / 1e6),
            "p50_ms": summary["p50_us"] / 1000,
            "p99_ms": summary["p99_us"] / 1000,
            "bytes_each": summary["bytes"] / max(summary["requests"], 1),
            "errors": summary["errors"] + (summary["requests"] == 0),
            "rss_mb": self.server.process.memory_mb("VmRSS"),
        }, output.replace(str(Path.cwd()), ".")


class Pgbench(Load):
    """pgbench opens new connections for each measurement. Its first second, in which the connections
    have no query plans yet, is not counted."""

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
        output = run_generator(command, self.postgres.client_environment(), seconds + 1, cwd=folder)
        summary = dict(read_summary(output))
        # Each line: client, transaction, microseconds, script, end in seconds and microseconds.
        lines = [
            line.split()
            for file in folder.glob("transactions.*")
            for line in file.read_text().splitlines()
        ]
        ends = [(int(line[4]) + int(line[5]) / 1e6, int(line[2])) for line in lines if line[2].isdigit()]
        if not ends or "requests" not in summary:
            raise BenchError(f"the output of pgbench has no results:\n{output[-2000:]}")
        first = min(ends)[0] + 1
        durations = sorted(microseconds for end, microseconds in ends if first <= end < first + seconds)
        p50, p99 = (percentile(durations, share) / 1000 for share in (0.5, 0.99))
        per_second = len(durations) / seconds
        return {
            "requests": summary["requests"],
            "per_second": per_second,
            "p50_ms": p50,
            "p99_ms": p99,
            "errors": summary.get("failed", 0),
        }, output + f"after the first second: {per_second:.0f} per second, p50 {p50:.3f} ms, p99 {p99:.3f} ms\n"


def read_summary(output):
    """Yields the numbers of pgbench's summary with their names."""
    for line in output.splitlines():
        name, _, value = line.partition(": ")
        number = value.split()[0].split("/")[0] if value else ""
        if name.startswith("number of transactions actually processed"):
            yield "requests", int(number)
        elif name.startswith("number of failed transactions"):
            yield "failed", int(number)


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def run_generator(command, env, seconds, cwd=None):
    """Runs a load generator. It ends when this process ends, also after Ctrl-C."""
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
        raise BenchError(f"{command[0]} failed with exit code {child.returncode}:\n{output[-2000:]}")
    return output
