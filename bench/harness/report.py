"""Writes RESULTS.md from the results."""

from statistics import median

NAMES = {
    "api": "**this API**, service key",
    "fastapi": "FastAPI, asyncpg, uvicorn",
    "pgbench": "PostgreSQL alone (pgbench, one prepared statement)",
    "fastapi-2": "FastAPI with `--workers 2`",
    "api-jwt": "this API, a member's JWT (HS256)",
    "api-gzip": "this API, `Accept-Encoding: gzip`",
    "api-not-modified": "this API, `If-None-Match` → 304",
}


# Maximum share of the machine that other programs may use during a measurement.
MAX_ELSEWHERE = 0.1


class LoadResult:
    """The results of one kind of load; attributes are medians over its measurements."""

    def __init__(self, turns):
        self.turns = turns

    def __getattr__(self, field):
        return median(turn[field] for turn in self.turns)

    def ratio_to(self, other, field):
        """The median of the ratios within each round, because a machine may be slow during some rounds."""
        pairs = zip(self.turns, other.turns, strict=True)
        return median(own[field] / max(others[field], 1e-9) for own, others in pairs)

    def spread(self, field):
        values = [turn[field] for turn in self.turns]
        return min(values), max(values)

    def has(self, field):
        return all(field in turn for turn in self.turns)


class Goal:
    def __init__(self, text, value, target, at_least, unit=""):
        self.text, self.value, self.target, self.at_least, self.unit = text, value, target, at_least, unit

    @property
    def is_met(self):
        return self.value >= self.target if self.at_least else self.value <= self.target

    def row(self):
        sign = "≥" if self.at_least else "≤"
        target = f"{sign} {self.target:g}{self.unit}"
        if self.value is None:
            return f"| {self.text} | {target} | – | not measured |"
        outcome = "met" if self.is_met else f"**missed** by {self.missed_by():.0f} %"
        return f"| {self.text} | {target} | {self.value:.2f}{self.unit} | {outcome} |"

    def missed_by(self):
        return abs(self.value - self.target) / self.target * 100


def goals(results, loads):
    api, fastapi = loads["api"], loads["fastapi"]
    ten_years = loads["api-ten-years"].ratio_to(loads["api-one-year"], "p50_ms")
    year = loads.get("api-range")
    return [
        Goal("requests per second, relative to FastAPI", api.ratio_to(fastapi, "per_second"), 8, True, " ×"),
        Goal("requests per second, relative to PostgreSQL alone", api.ratio_to(loads["pgbench"], "per_second"), 0.5, True),
        Goal("99th percentile, relative to FastAPI", api.ratio_to(fastapi, "p99_ms"), 0.3, False),
        Goal("median of a day, ten years of data relative to one year", ten_years, 1.15, False, " ×"),
        Goal("median of a year in one request, 1 connection", year and year.p50_ms, 15, False, " ms"),
        Goal("maximum resident memory of the API, all loads", results["memory_mb"]["api"], 40, False, " MB"),
    ]


def cpu(load, field):
    return f"{getattr(load, field):.0f}" if load.has(field) else "–"


def row(name, load, fastapi, memory):
    low, high = load.spread("per_second")
    return (
        f"| {NAMES[name]} | {load.per_second:,.0f} | {low:,.0f} to {high:,.0f} | {load.ratio_to(fastapi, 'per_second'):.2f} | "
        f"{load.p50_ms:.2f} | {load.p99_ms:.2f} | {cpu(load, 'server_cpu_us')} | {cpu(load, 'postgres_cpu_us')} | "
        f"{cpu(load, 'client_cpu_us')} | {f'{memory:.0f}' if memory else '–'} |"
    )


def write(results, path):
    """Writes the report, and returns the number of failed requests."""
    loads = {name: LoadResult(turns) for name, turns in results["turns"].items()}
    about, data, memory = results["machine"], results["data"], results["memory_mb"]
    errors = {name: sum(turn["errors"] for turn in load.turns) for name, load in loads.items()}
    total = sum(errors.values())
    rows = sum(data["rows"].values())

    lines = [
        "# Requests for a day from the database",
        "",
        "Written by `bench/run`. [README.md](README.md) describes what is compared and how to repeat it.",
        "",
        f"{results['members']:,} members with {results['days']} days each and {results['veterans']} with ten years: "
        f"{rows:,} records, {data['database_mb']:,} MB. Each load requests random members and dates over "
        f"{results['connections']['api']} connections, for {results['seconds']} s in each of {results['rounds']} round{'s' if results['rounds'] > 1 else ''}. "
        "The values are medians over the rounds; ratios are computed within each round.",
        "",
        "![requests per second and percentiles](results.svg)",
        "",
        "| goal | target | measured | |",
        "|---|---|---|---|",
        *(goal.row() for goal in goals(results, loads)),
        "",
        "| | requests/s | range over the rounds | × FastAPI | p50 ms | p99 ms | CPU µs, server | CPU µs, PostgreSQL | CPU µs, generator | memory MB |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
        *(row(name, loads[name], loads["fastapi"], memory.get(name)) for name in NAMES if name in loads),
        "",
        "CPU time is per request. Memory is the maximum resident memory of all processes of a server together.",
        "",
        "| this API | requests/s | p50 ms | p99 ms |",
        "|---|---:|---:|---:|",
    ]
    for name, text in (
        ("api-one-year", f"days of {results['veterans']} members with one year"),
        ("api-ten-years", f"days of {results['veterans']} members with ten years"),
        ("api-range", "a year in one request, 1 connection"),
    ):
        if name in loads:
            load = loads[name]
            lines.append(f"| {text} | {load.per_second:,.0f} | {load.p50_ms:.2f} | {load.p99_ms:.2f} |")
    absent = [
        text for name, text in (
            ("api-range", "the range route"), ("api-gzip", "compressed responses"), ("api-not-modified", "ETags")
        ) if name not in loads
    ]
    lines += ["", f"Not measured, because this build does not support it: {', '.join(absent)}." if absent else "", ""]
    if total:
        failures = ", ".join(f"{name} {count}" for name, count in errors.items() if count)
        lines += [f"**{total} requests failed ({failures}), so these results are not valid.**", ""]
    else:
        lines += [f"No request of {sum(sum(turn['requests'] for turn in load.turns) for load in loads.values()):,} failed, "
                  "and none called WHOOP.", ""]
    elsewhere = [turn["elsewhere"] for load in loads.values() for turn in load.turns]
    lines += [
        f"Other programs and the hypervisor used {median(elsewhere):.0%} of the machine in the median measurement, {max(elsewhere):.0%} at most."
        + ("" if max(elsewhere) < MAX_ELSEWHERE else " **This is too much for reliable results: repeat the measurement.**"),
        "",
    ]
    lines += [
        "## How to read it",
        "",
        "The generator, the server and PostgreSQL share the cores, so requests per second depend on the machine. Compare the "
        "ratios instead. FastAPI with one process uses only one core; the row with `--workers 2` shows the effect of a second process.",
        "",
        f"{about['cores']} cores of {about['cpu']}, {about['memory_gb']} GB, {about['system']}, Linux {about['kernel']}; "
        f"PostgreSQL {about['postgresql']} (`shared_buffers` {results['shared_buffers']}), Rust {about['rust']}, "
        f"wrk {about['wrk']}; Python {about['python']}, FastAPI {about['fastapi']}, uvicorn {about['uvicorn']}, "
        f"uvloop {about['uvloop']}, httptools {about['httptools']}, asyncpg {about['asyncpg']}, orjson {about['orjson']}.",
        "",
        f"Pools of {results['pool']} connections per process. The output of the tools is in [raw/](raw).",
    ]
    text = "\n".join(lines)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    path.write_text(text + "\n")
    return total
