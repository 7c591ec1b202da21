"""RESULTS.md, from what was measured."""

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


# More than this of the machine in somebody else's hands spoils a turn.
BUSY = 0.1


class Kind:
    """One kind of load: medians over its turns."""

    def __init__(self, turns):
        self.turns = turns

    def __getattr__(self, field):
        return median(turn[field] for turn in self.turns)

    def beside(self, other, field):
        """How many times the other's; round by round, because a machine has slow minutes."""
        pairs = zip(self.turns, other.turns, strict=True)
        return median(own[field] / max(others[field], 1e-9) for own, others in pairs)

    def spread(self, field):
        values = [turn[field] for turn in self.turns]
        return min(values), max(values)

    def has(self, field):
        return all(field in turn for turn in self.turns)


class Goal:
    def __init__(self, text, value, wanted, at_least, unit=""):
        self.text, self.value, self.wanted, self.at_least, self.unit = text, value, wanted, at_least, unit

    @property
    def is_met(self):
        return self.value >= self.wanted if self.at_least else self.value <= self.wanted

    def row(self):
        sign = "≥" if self.at_least else "≤"
        wanted = f"{sign} {self.wanted:g}{self.unit}"
        if self.value is None:
            return f"| {self.text} | {wanted} | – | not there yet |"
        verdict = "met" if self.is_met else f"**missed** by {self.missed_by():.0f} %"
        return f"| {self.text} | {wanted} | {self.value:.2f}{self.unit} | {verdict} |"

    def missed_by(self):
        return abs(self.value - self.wanted) / self.wanted * 100


def goals(results, kinds):
    ours, theirs = kinds["api"], kinds["fastapi"]
    ten_years = kinds["api-ten-years"].beside(kinds["api-one-year"], "p50_ms")
    year = kinds.get("api-range")
    return [
        Goal("requests a second, as many times FastAPI's", ours.beside(theirs, "per_second"), 8, True, " ×"),
        Goal("requests a second, as a share of PostgreSQL alone", ours.beside(kinds["pgbench"], "per_second"), 0.5, True),
        Goal("99th percentile, as a share of FastAPI's", ours.beside(theirs, "p99_ms"), 0.3, False),
        Goal("median of a day, ten years of data beside one", ten_years, 1.15, False, " ×"),
        Goal("median of a year in one request, 1 connection", year and year.p50_ms, 15, False, " ms"),
        Goal("highest resident memory of the API, all loads", results["memory_mb"]["api"], 40, False, " MB"),
    ]


def cpu(kind, field):
    return f"{getattr(kind, field):.0f}" if kind.has(field) else "–"


def row(name, kind, fastapi, memory):
    low, high = kind.spread("per_second")
    return (
        f"| {NAMES[name]} | {kind.per_second:,.0f} | {low:,.0f} to {high:,.0f} | {kind.beside(fastapi, 'per_second'):.2f} | "
        f"{kind.p50_ms:.2f} | {kind.p99_ms:.2f} | {cpu(kind, 'server_cpu_us')} | {cpu(kind, 'postgres_cpu_us')} | "
        f"{cpu(kind, 'client_cpu_us')} | {f'{memory:.0f}' if memory else '–'} |"
    )


def write(results, path):
    """Writes the report; the number of errors."""
    kinds = {name: Kind(turns) for name, turns in results["turns"].items()}
    about, data, memory = results["machine"], results["data"], results["memory_mb"]
    errors = {name: sum(turn["errors"] for turn in kind.turns) for name, kind in kinds.items()}
    total = sum(errors.values())
    rows = sum(data["rows"].values())

    lines = [
        "# A day from the database, measured",
        "",
        "Written by `bench/run`; [what is compared, and how to repeat it](README.md).",
        "",
        f"{results['members']:,} members with {results['days']} days each and {results['veterans']} with ten years: "
        f"{rows:,} records, {data['database_mb']:,} MB. Each asks for random members and dates over "
        f"{results['connections']['api']} connections; {results['rounds']} round{'s' if results['rounds'] > 1 else ''} in rotation, {results['seconds']} s a turn, "
        "medians of the rounds; what is compared is compared within a round.",
        "",
        "![requests a second and percentiles](results.svg)",
        "",
        "| goal | wanted | measured | |",
        "|---|---|---|---|",
        *(goal.row() for goal in goals(results, kinds)),
        "",
        "| | requests/s | of all rounds | × FastAPI | p50 ms | p99 ms | CPU µs, server | CPU µs, PostgreSQL | CPU µs, generator | memory MB |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
        *(row(name, kinds[name], kinds["fastapi"], memory.get(name)) for name in NAMES if name in kinds),
        "",
        "CPU is per request. Memory is the highest that was resident, of a server's processes together.",
        "",
        "| this API | requests/s | p50 ms | p99 ms |",
        "|---|---:|---:|---:|",
    ]
    for name, text in (
        ("api-one-year", f"days of {results['veterans']} members with one year"),
        ("api-ten-years", f"days of {results['veterans']} members with ten years"),
        ("api-range", "a year in one request, 1 connection"),
    ):
        if name in kinds:
            kind = kinds[name]
            lines.append(f"| {text} | {kind.per_second:,.0f} | {kind.p50_ms:.2f} | {kind.p99_ms:.2f} |")
    absent = [
        text for name, text in (
            ("api-range", "the range route"), ("api-gzip", "compressed answers"), ("api-not-modified", "ETags")
        ) if name not in kinds
    ]
    lines += ["", f"Not there when this ran: {', '.join(absent)}." if absent else "", ""]
    if total:
        named = ", ".join(f"{name} {count}" for name, count in errors.items() if count)
        lines += [f"**{total} requests failed ({named}): these numbers do not count.**", ""]
    else:
        lines += [f"No request of {sum(sum(turn['requests'] for turn in kind.turns) for kind in kinds.values()):,} failed, "
                  "and none asked WHOOP.", ""]
    elsewhere = [turn["elsewhere"] for kind in kinds.values() for turn in kind.turns]
    lines += [
        f"Other programs, or the hypervisor, took {median(elsewhere):.0%} of the machine in the median turn, {max(elsewhere):.0%} at most."
        + ("" if max(elsewhere) < BUSY else " **It was not quiet: repeat it before believing it.**"),
        "",
    ]
    lines += [
        "## How to read it",
        "",
        "The generator, the server and PostgreSQL share the cores, so requests a second depend on the machine: the ratios are "
        "what to look at. FastAPI with one process can use one core; `--workers 2` is there so that nobody has to wonder.",
        "",
        f"{about['cores']} cores of {about['cpu']}, {about['memory_gb']} GB, {about['system']}, Linux {about['kernel']}; "
        f"PostgreSQL {about['postgresql']} (`shared_buffers` {results['shared_buffers']}), Rust {about['rust']}, "
        f"wrk {about['wrk']}; Python {about['python']}, FastAPI {about['fastapi']}, uvicorn {about['uvicorn']}, "
        f"uvloop {about['uvloop']}, httptools {about['httptools']}, asyncpg {about['asyncpg']}, orjson {about['orjson']}.",
        "",
        f"Pools of {results['pool']} connections a process. What the tools said stands in [raw/](raw).",
    ]
    text = "\n".join(lines)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    path.write_text(text + "\n")
    return total
