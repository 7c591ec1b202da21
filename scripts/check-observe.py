"""The checks of scripts/check-observe, which describes them.

A check is a function that takes a folder (the repository, or a copy of the files that is broken
on purpose) and returns a list of errors, one line each.
"""

import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
RULES = "deploy/prometheus/rules.yml"
TESTS = ["deploy/prometheus/rules_test.yml", "deploy/prometheus/rules_days_test.yml"]
CONFIG = "deploy/prometheus/prometheus.yml"
DASHBOARD = "deploy/grafana/dashboards/whoop.json"
DATASOURCES = "deploy/grafana/provisioning/datasources/prometheus.yml"
PROVIDERS = "deploy/grafana/provisioning/dashboards/whoop.yml"
RUNBOOK = "OPERATIONS.md"

# The heading below which the runbook has a section for each alert.
ALERTS_HEADING = "## When an alert fires"


# ---- promtool


def promtool(*arguments):
    process = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=110)
    if process.returncode == 0:
        return []
    lines = [line.strip() for line in (process.stdout + process.stderr).splitlines()]
    return [line for line in lines if line and not re.match(r"Checking|Unit Testing|SUCCESS", line)] or ["promtool failed"]


def config(folder):
    text = (folder / CONFIG).read_text()
    rules_path = "/etc/prometheus/rules.yml"
    if rules_path not in text:
        return [f"{CONFIG} does not read {rules_path}, where the compose file mounts the rules"]
    with tempfile.TemporaryDirectory() as temporary:
        # The path inside the container does not exist on this machine.
        copy = Path(temporary) / "prometheus.yml"
        copy.write_text(text.replace(rules_path, str((folder / RULES).resolve())))
        errors = promtool("check", "config", str(copy))
    jobs = {job["job_name"]: job for job in yaml.safe_load(text).get("scrape_configs", [])} if not errors else {}
    if not errors and "api:8081" not in str(jobs.get("whoop-api")):
        errors.append("the job whoop-api does not scrape api:8081")
    return errors


def rules(folder):
    return promtool("check", "rules", str(folder / RULES))


def tests(folder):
    return [line for name in TESTS for line in promtool("test", "rules", str(folder / name))]


def short_tests(folder):
    return promtool("test", "rules", str(folder / TESTS[0]))


def queries(folder):
    expressions = [expr.replace("$__rate_interval", "5m") for _, expr in dashboard_queries(folder)]
    records = [{"record": f"query{number}", "expr": expr} for number, expr in enumerate(expressions)]
    if not records:
        return ["the dashboard has no query"]
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "queries.yml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
        return promtool("check", "rules", str(file))


# ---- the rules


def groups(folder):
    return yaml.safe_load((folder / RULES).read_text())["groups"]


def alerts(folder):
    return [rule for group in groups(folder) for rule in group["rules"] if "alert" in rule]


def alert_shape(folder):
    errors, names = [], set()
    for alert in alerts(folder):
        name, annotations = alert["alert"], alert.get("annotations", {})
        if name in names:
            errors.append(f"{name} is defined twice")
        names.add(name)
        if alert.get("labels", {}).get("severity") not in ("critical", "warning"):
            errors.append(f"the severity of {name} is neither critical nor warning")
        if "for" not in alert:
            errors.append(f"{name} has no `for`, so it would fire after a single evaluation")
        errors += [f"{name} has no {text}" for text in ("summary", "description") if len(annotations.get(text, "")) < 10]
        if annotations.get("runbook_url") != f"{RUNBOOK}#{name.lower()}":
            errors.append(f"{name}: runbook_url is not {RUNBOOK}#{name.lower()}")
    return errors


def alerts_tested(folder):
    """Each alert fires in at least one test and does not fire in another."""
    firing, silent, errors = set(), set(), []
    for file in TESTS:
        for test in yaml.safe_load((folder / file).read_text())["tests"]:
            for case in test.get("alert_rule_test", []):
                (firing if case.get("exp_alerts") else silent).add(case["alertname"])
            for case in test.get("promql_expr_test", []):
                name = re.search(r'ALERTS\{alertname="(\w+)", alertstate="firing"\}', case["expr"])
                if name:
                    (firing if case.get("exp_samples") else silent).add(name.group(1))
    names = {alert["alert"] for alert in alerts(folder)}
    errors += [f"{name} fires in no test" for name in sorted(names - firing)]
    errors += [f"no test checks that {name} does not fire" for name in sorted(names - silent)]
    errors += [f"a test names {name}, but no alert has this name" for name in sorted((firing | silent) - names)]
    return errors


# ---- the dashboard


def dashboard(folder):
    return json.loads((folder / DASHBOARD).read_text())


def dashboard_queries(folder):
    content = dashboard(folder)
    for panel in content["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in content.get("annotations", {}).get("list", []):
        if "expr" in annotation:
            yield annotation["name"], annotation["expr"]


def dashboard_shape(folder):
    try:
        content = dashboard(folder)
    except ValueError as error:
        return [f"{DASHBOARD}: {error}"]
    sources = yaml.safe_load((folder / DATASOURCES).read_text())["datasources"]
    uids = {source["uid"] for source in sources if source["type"] == "prometheus" and source["url"] == "http://prometheus:9090"}
    providers = yaml.safe_load((folder / PROVIDERS).read_text())["providers"]
    errors = []
    if "/var/lib/grafana/dashboards" not in {provider["options"]["path"] for provider in providers}:
        errors.append("no provider reads /var/lib/grafana/dashboards, where the compose file mounts the dashboards")
    errors += [f"the dashboard has no {field}" for field in ("uid", "title", "schemaVersion") if not content.get(field)]
    if content.get("id") is not None:
        errors.append("the dashboard has an id, which differs in every Grafana; remove it")
    ids, occupied = set(), {}
    for panel in content["panels"]:
        title = panel.get("title") or f"panel {panel.get('id')}"
        if not panel.get("title"):
            errors.append(f"{title} has no title")
        if not isinstance(panel.get("id"), int) or panel["id"] in ids:
            errors.append(f"{title}: its id {panel.get('id')} is not a number, or is used twice")
        ids.add(panel.get("id"))
        position = panel.get("gridPos", {})
        if set(position) != {"x", "y", "w", "h"} or position["x"] + position["w"] > 24:
            errors.append(f"{title} exceeds the 24 columns")
        else:
            for cell in ((x, y) for x in range(position["x"], position["x"] + position["w"]) for y in range(position["y"], position["y"] + position["h"])):
                if occupied.setdefault(cell, title) != title:
                    errors.append(f"{title} overlaps {occupied[cell]}")
                    break
        if panel.get("type") == "row":
            continue
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        if not defaults.get("unit"):
            errors.append(f"{title} has no unit")
        if not defaults.get("thresholds", {}).get("steps"):
            errors.append(f"{title} has no thresholds")
        if not panel.get("description"):
            errors.append(f"{title} has no description")
        if not panel.get("targets"):
            errors.append(f"{title} has no query")
        for element in [panel, *panel.get("targets", [])]:
            source = element.get("datasource") or {}
            if source.get("uid") not in uids or source.get("type") != "prometheus":
                errors.append(f"{title}: its datasource {source.get('uid')} is not provisioned")
    return errors


# ---- the runbook


def runbook(folder):
    text = (folder / RUNBOOK).read_text()
    parts = re.split(rf"(?m)^{re.escape(ALERTS_HEADING)}$", text)
    if len(parts) != 2:
        return [f"{RUNBOOK} does not have the heading `{ALERTS_HEADING}` exactly once"]
    alert_sections = re.split(r"(?m)^## ", parts[1])[0]
    sections = {}
    for section in re.split(r"(?m)^### ", alert_sections)[1:]:
        heading, _, body = section.partition("\n")
        if heading in sections:
            return [f"{RUNBOOK} has the heading {heading} twice"]
        sections[heading] = body
    names = {alert["alert"] for alert in alerts(folder)}
    errors = [f"{RUNBOOK} has no heading {name}" for name in sorted(names - set(sections))]
    errors += [f"{RUNBOOK} has a heading {name}, but no alert has this name" for name in sorted(set(sections) - names)]
    for name, body in sections.items():
        errors += [f"{RUNBOOK}: {name} has no {part}" for part in ("**Means.**", "**Look.**", "**Do.**") if part not in body]
        if "`" not in body:
            errors.append(f"{RUNBOOK}: {name} names no command")
    return errors + links(text)


def links(text):
    """Reports links of the runbook to files and headings that do not exist."""
    errors = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        content = text if not file else (ROOT / file).read_text() if (ROOT / file).is_file() else None
        if content is None:
            errors.append(f"{RUNBOOK} links to {file}, which does not exist")
        elif anchor and anchor not in {slug(heading) for heading in re.findall(r"(?m)^#+ (.*)$", content)}:
            errors.append(f"{RUNBOOK} links to {target}, but there is no such heading")
    return errors


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# ---- metrics that the rules and the dashboard name, and metrics that the programs export

TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<number>\d[\w.]*)
  | (?P<name>[A-Za-z_][\w:]*)
  | (?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){}\[\],@:])
)""",
    re.X,
)
# Keywords that are followed by a list of labels.
LABEL_LIST_KEYWORDS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
KEYWORDS = LABEL_LIST_KEYWORDS | {"and", "or", "unless", "offset", "bool", "atan2"}
# Labels that every target or histogram has, and metrics of Prometheus itself.
COMMON_LABELS = {"job", "instance", "le"}
PROMETHEUS_METRICS = {"up": set(), "ALERTS": {"alertname", "alertstate"}}


def selectors(expr):
    """Returns every metric of a query with its matchers, and every label that is grouped by."""
    tokens, position = [], 0
    expr = expr.replace("$__rate_interval", "5m").strip()
    while position < len(expr):
        match = TOKEN.match(expr, position)
        if not match:
            raise ValueError(f"cannot parse the query from {expr[position:]!r} on")
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        position = match.end()
    tokens.append(("end", ""))
    named, grouped, index = [], set(), 0
    while index < len(tokens) - 1:
        kind, word = tokens[index]
        following = tokens[index + 1][1]
        index += 1
        if kind != "name":
            continue
        if word in LABEL_LIST_KEYWORDS and following == "(":
            end = tokens.index(("sign", ")"), index)
            grouped |= {text for kind, text in tokens[index:end] if kind == "name"}
            index = end + 1
        elif word in KEYWORDS or following == "(" or following in LABEL_LIST_KEYWORDS:
            continue
        else:
            matchers = []
            if following == "{":
                end = tokens.index(("sign", "}"), index)
                inner = [token for token in tokens[index + 1 : end] if token != ("sign", ",")]
                matchers = [(inner[n][1], inner[n + 1][1], inner[n + 2][1][1:-1]) for n in range(0, len(inner), 3)]
                index = end + 1
            named.append((word, matchers))
    return named, grouped


class ExportedMetrics:
    """The metrics of a running API at /metrics, and those of the worker's textfile."""

    # Values that appear only if WHOOP or a caller does something that this script does not provoke.
    # The outcomes are those of `outcome_label` in whoop-client.
    RARE_VALUES = {
        ("whoop_upstream_calls_total", "outcome"): {"timeout", "failed", "unauthorized", "forbidden", "not_found"},
        ("whoop_http_requests_total", "status"): {str(status) for status in range(200, 600)},
        ("whoop_http_requests_total", "method"): {"GET", "HEAD", "POST", "DELETE", "OPTIONS"},
    }

    def __init__(self):
        self.labels, self.values = {}, {}

    def read(self, text):
        for line in text.splitlines():
            sample = re.match(r"(\w+)(?:\{(.*)\})? \S+", line)
            if line.startswith("#") or not sample:
                continue
            name, inner = sample.groups()
            labels = self.labels.setdefault(name, set())
            for label, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', inner or ""):
                labels.add(label)
                self.values.setdefault((name, label), set()).add(value)

    def add_routes(self, routes):
        for name in [name for name in self.labels if name.startswith("whoop_http_request")]:
            self.values.setdefault((name, "route"), set()).update(routes)

    def values_of(self, name, label):
        return self.values.get((name, label), set()) | self.RARE_VALUES.get((name, label), set())


def metrics_exist(folder, exported):
    expressions = [(rule.get("alert") or rule["record"], rule["expr"]) for group in groups(folder) for rule in group["rules"]]
    expressions += list(dashboard_queries(folder))
    recorded, errors = {}, []
    for rule in (rule for group in groups(folder) for rule in group["rules"] if "record" in rule):
        sources, labels = selectors(rule["expr"])
        recorded[rule["record"]] = labels, {name for name, _ in sources}

    def label_values(name, label):
        if name in recorded:
            return set().union(*(label_values(source, label) for source in recorded[name][1]))
        return exported.values_of(name, label)

    for title, expr in expressions:
        try:
            named, _ = selectors(expr)
        except (ValueError, IndexError) as error:
            errors.append(f"{title}: {error}")
            continue
        for name, matchers in named:
            if name in PROMETHEUS_METRICS:
                labels = PROMETHEUS_METRICS[name]
            elif name in recorded:
                labels = recorded[name][0]
            elif name in exported.labels:
                labels = exported.labels[name]
            else:
                errors.append(f"{title}: no program exports {name}")
                continue
            if name.startswith("whoop_") and name not in recorded and "whoop_sync_run" not in name:
                if not any(label == "job" for label, _, _ in matchers):
                    errors.append(f"{title}: {name} without a job mixes the API's values with those of the last run")
            for label, sign, value in matchers:
                if label not in labels | COMMON_LABELS:
                    errors.append(f"{title}: {name} has no label {label}")
                elif name not in PROMETHEUS_METRICS and label not in COMMON_LABELS:
                    errors += [f"{title}: {label} of {name} is never {missing}" for missing in unmatched(sign, value, label_values(name, label))]
    return errors


def unmatched(sign, value, existing):
    """Returns the value of a matcher, or the alternatives of its pattern, that no series has."""
    value = value.replace("\\\\", "\\")
    if sign in ("=", "!="):
        return [] if value in existing or value == "" else [value]
    group = re.fullmatch(r"(.*)\(([^()]*)\)(.*)", value)
    patterns = [group[1] + alternative + group[3] for alternative in group[2].split("|")] if group else value.split("|")
    return [pattern for pattern in patterns if not any(re.fullmatch(pattern, series_value) for series_value in existing)]


# ---- a running demo and a worker


def free_ports(count):
    with ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in sockets]


def request(url, token=None, body=None, timeout=20):
    """Sends a request. Returns the status and the text of the response."""
    message = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode())
    if token:
        message.add_header("Authorization", f"Bearer {token}")
    if body is not None:
        message.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(message, timeout=timeout) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_for(description, condition, seconds):
    """Waits until `condition` returns a true value, and returns it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.2)
    raise RuntimeError(f"not within {seconds} s: {description}")


def end(process, sign=signal.SIGTERM):
    process.send_signal(sign)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def environment(**more):
    """Returns the caller's environment without settings of the programs and of PostgreSQL, plus `more`."""
    settings = ("DATABASE_", "WHOOP_", "TOKEN_", "API_", "AUTH_", "PG", "RUST_LOG", "LOG_FORMAT", "METRICS_FILE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(settings) or name == "PG_BIN_DIR"}
    return inherited | more


def collect_metrics(demo, stack):
    """Starts the demo and a worker, makes them perform every kind of work, and reads their metrics."""
    exported = ExportedMetrics()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    folder.chmod(0o755)
    api_port, sim_port, pg_port = free_ports(3)
    log = folder / "demo.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [demo, "--api-port", str(api_port), "--sim-port", str(sim_port), "--days", "60", "--people", "1"],
            stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment(),
        )
    stack.callback(end, process)

    def is_ready():
        if process.poll() is not None:
            raise RuntimeError("the demo ended: " + log.read_text()[-2000:])
        return re.search(r"Bearer (\S+)' '?(http://\S+?)/api/v1/whoop/daily-data/([^\s'?]+)", log.read_text())

    token, base, member = wait_for("the demo is ready", is_ready, 60).groups()
    sim = re.search(r"simulator +(http://\S+)", log.read_text()).group(1)
    api = f"{base}/api/v1/whoop"
    today = date.today()
    span = f"from={today - timedelta(20)}&to={today}"
    for path in (f"range/{member}?{span}", f"changes/{member}?since=0", f"sync-status/{member}", f"daily-data/{member}"):
        request(f"{api}/{path}", token)
    request(f"{api}/daily-data/{member}")
    _, records = request(f"{api}/records/sleep/{member}?{span}&limit=1", token)
    record = json.loads(records)["records"][0]
    # The edit causes a webhook, and with it a change whose delay is measured.
    request(f"{sim}/_sim/edit", body={"whoop_user_id": record["user_id"], "data_type": "sleep", "op": "patch",
                                  "id": record["id"], "merge": {"score": {"respiratory_rate": 17.5}}})

    def has_database_metrics():
        # The API computes the metrics that take long queries only every ten seconds.
        text = request(f"{base}/metrics")[1]
        return "whoop_change_delay_seconds{" in text and "whoop_sync_age_seconds{" in text

    wait_for("the metrics of the first change", has_database_metrics, 40)
    # WHOOP returns status 503, a token expires, and WHOOP limits the rate. Days before the look-back are
    # read for each request, even if the newest days are fresh.
    def read_back(data_type, expected):
        def is_counted():
            # A request starts nothing while an earlier one is still running.
            request(f"{api}/sync/{member}", token, {"data_types": [data_type], "from": f"{today - timedelta(45)}"})
            return expected in request(f"{base}/metrics")[1]

        wait_for(f"a metric with {expected}", is_counted, 40)

    request(f"{sim}/_sim/faults", body=[{"route": "workout", "kind": "status", "status": 503, "times": 1}])
    read_back("workout", 'outcome="server_error"')
    request(f"{sim}/_sim/expire", body={})
    read_back("cycle", 'endpoint="oauth/token (refresh)"')
    request(f"{sim}/_sim/faults", body=[{"route": "recovery", "kind": "rate_limited", "times": 1}])
    read_back("recovery", 'outcome="rate_limited"')
    exported.read(request(f"{base}/metrics")[1])
    exported.add_routes(json.loads(request(f"{base}/openapi.json")[1])["paths"])
    exported.read(worker_textfile(Path(demo).parent / "sync-worker", folder, pg_port, stack))
    return exported


def worker_textfile(worker, parent, port, stack):
    """Starts a run on a database without members, and returns the textfile that it writes for node-exporter."""
    folder = parent / "pg"
    folder.mkdir()
    account = {}
    if os.getuid() == 0:
        # PostgreSQL refuses root.
        user = next((pwd.getpwnam(name) for name in ("postgres", "nobody") if any(entry.pw_name == name for entry in pwd.getpwall())), None)
        os.chown(folder, user.pw_uid, user.pw_gid)
        account = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    candidates = [os.environ.get("PG_BIN_DIR"), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name.split(".")[0]))), *os.get_exec_path()]
    programs = next(Path(path) for path in candidates if path and (Path(path) / "initdb").is_file() and (Path(path) / "postgres").is_file())
    subprocess.run([programs / "initdb", "--no-sync", "--username=worker", "--auth=trust", "--encoding=UTF8", "--locale=C",
                    "--pgdata", folder / "data"], check=True, capture_output=True, cwd=folder, env=environment(), **account)
    server = subprocess.Popen([programs / "postgres", "-D", folder / "data", "-p", str(port), "-c", "listen_addresses=127.0.0.1",
                               "-c", "unix_socket_directories=", "-c", "fsync=off"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, cwd=folder, env=environment(), **account)
    stack.callback(end, server, signal.SIGINT)
    settings = environment(
        DATABASE_URL=f"postgres://worker@127.0.0.1:{port}/postgres?sslmode=disable", TOKEN_KEYS="k1:" + b64encode(secrets.token_bytes(32)).decode(),
        WHOOP_CLIENT_ID="none", WHOOP_CLIENT_SECRET="none-of-any-app-there-is", WHOOP_REDIRECT_URL="http://127.0.0.1/none",
        WHOOP_API_URL="http://127.0.0.1:1/", WHOOP_OAUTH_URL="http://127.0.0.1:1/")
    wait_for("the migration", lambda: subprocess.run([worker, "migrate"], capture_output=True, env=settings).returncode == 0, 30)
    file = parent / "run.prom"
    subprocess.run([worker, "run", "--slot", "night", "--metrics-file", file], check=True, capture_output=True, env=settings, timeout=60)
    return file.read_text()


# ---- each check on a broken copy


def breaking(file, old, new):
    def apply(folder):
        path = folder / file
        text = path.read_text()
        if old not in text:
            raise RuntimeError(f"{file} has no {old!r}, so the copy would not be broken")
        path.write_text(text.replace(old, new, 1))

    return apply


def break_panel(change):
    def apply(folder):
        content = dashboard(folder)
        change([panel for panel in content["panels"] if panel["type"] != "row"])
        (folder / DASHBOARD).write_text(json.dumps(content))

    return apply


def broken_copies(exported):
    """Returns tuples: the name of a check, the check, the fault, and a function that breaks the copy."""
    exist = lambda folder: metrics_exist(folder, exported)
    return [
        ("promtool config", config, "an unknown setting", breaking(CONFIG, "scrape_timeout:", "scrape_timeouts:")),
        ("promtool config", config, "another target", breaking(CONFIG, "api:8081", "api:9090")),
        ("promtool rules", rules, "an invalid query", breaking(RULES, "max by (status) (", "max by (status) ((")),
        ("promtool rules", rules, "an invalid template", breaking(RULES, "{{ $labels.instance }}", "{{ $labels.instance }")),
        ("promtool tests", short_tests, "a threshold ten times too low", breaking(RULES, '{window="day"} < 500', '{window="day"} < 50')),
        ("promtool tests", short_tests, "an alert that fires at once", breaking(RULES, "== 0\n        for: 2m", "== 0\n        for: 0m")),
        ("alerts", alert_shape, "an unknown severity", breaking(RULES, "severity: critical", "severity: fatal")),
        ("alerts", alert_shape, "a wrong runbook_url", breaking(RULES, "#whoopapidown", "#whoopdown")),
        ("alerts tested", alerts_tested, "an alert that fires in no test", breaking(TESTS[0], 'alertname="WhoopPoolExhausted"', 'alertname="WhoopApiAbsent"')),
        ("alerts tested", alerts_tested, "an alert without any test", breaking(RULES, "- alert: WhoopApiDown", "- alert: WhoopOther")),
        ("queries", queries, "an invalid query", break_panel(lambda panels: panels[0]["targets"][0].update(expr="sum(rate(up))"))),
        ("dashboard", dashboard_shape, "two panels with one id", break_panel(lambda panels: panels[1].update(id=panels[0]["id"]))),
        ("dashboard", dashboard_shape, "no title", break_panel(lambda panels: panels[0].update(title=""))),
        ("dashboard", dashboard_shape, "no unit", break_panel(lambda panels: panels[0]["fieldConfig"]["defaults"].pop("unit"))),
        ("dashboard", dashboard_shape, "another datasource", break_panel(lambda panels: panels[0]["targets"][0]["datasource"].update(uid="other"))),
        ("dashboard", dashboard_shape, "overlapping panels", break_panel(lambda panels: panels[1].update(gridPos=panels[0]["gridPos"]))),
        ("dashboard", dashboard_shape, "a datasource with another uid", breaking(DATASOURCES, "uid: whoop-prometheus", "uid: prometheus")),
        ("metrics", exist, "an unknown metric in the rules", breaking(RULES, "whoop_database_up{", "whoop_database_alive{")),
        ("metrics", exist, "a counter without its suffix", breaking(RULES, "rate(whoop_http_requests_total{", "rate(whoop_http_requests{")),
        ("metrics", exist, "an unknown label", breaking(RULES, 'window="day"', 'span="day"')),
        ("metrics", exist, "an unknown label value", breaking(RULES, 'state="waiting"', 'state="queued"')),
        ("metrics", exist, "an unknown route", breaking(RULES, "(range|records|", "(span|records|")),
        ("metrics", exist, "a metric without a job", breaking(RULES, 'whoop_users{job="whoop-api"}', "whoop_users")),
        ("metrics", exist, "an unknown metric in the dashboard", break_panel(lambda panels: panels[0]["targets"][0].update(expr="max(whoop_database{job=\"whoop-api\"})"))),
        ("runbook", runbook, "an alert without a heading", breaking(RUNBOOK, "\n### WhoopApiDown\n", "\n### WhoopApiGone\n")),
        ("runbook", runbook, "a heading without an alert", breaking(RULES, "- alert: WhoopApiDown", "- alert: WhoopOther")),
        ("runbook", runbook, "a section without an action", breaking(RUNBOOK, "**Do.**", "")),
        ("runbook", runbook, "a broken link", breaking(RUNBOOK, "](#first-install)", "](#last-install)")),
    ]


def copy_files(folder):
    for file in (RULES, *TESTS, CONFIG, DASHBOARD, DATASOURCES, PROVIDERS, RUNBOOK):
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, target)


def main(demo):
    failed = 0

    def line(name, errors, detail=""):
        nonlocal failed
        failed += bool(errors)
        print(f"{'FAILED' if errors else 'ok':<6} {name}{': ' + detail if detail else ''}", flush=True)
        for error in errors[:20]:
            print(f"       {error}", flush=True)

    def attempt(check, *arguments):
        try:
            return check(*arguments)
        except (OSError, ValueError, KeyError, TypeError, IndexError, yaml.YAMLError, subprocess.SubprocessError, RuntimeError) as error:
            return [f"{type(error).__name__}: {error}"]

    line("promtool config", attempt(config, ROOT), CONFIG)
    line("promtool rules", attempt(rules, ROOT), RULES)
    line("promtool tests", attempt(tests, ROOT), ", ".join(TESTS))
    line("alerts", attempt(alert_shape, ROOT), f"{len(alerts(ROOT))} with severity, texts and runbook_url")
    line("alerts tested", attempt(alerts_tested, ROOT), "each fires in one test and does not fire in another")
    line("queries", attempt(queries, ROOT), f"{len(list(dashboard_queries(ROOT)))} of the dashboard")
    line("dashboard", attempt(dashboard_shape, ROOT), DASHBOARD)
    exported = None
    with ExitStack() as stack:
        try:
            exported = collect_metrics(demo, stack)
        except (OSError, RuntimeError, StopIteration, subprocess.SubprocessError, ValueError, KeyError, IndexError) as error:
            line("metrics", [f"{type(error).__name__}: {error}"])
    if exported:
        line("metrics", attempt(metrics_exist, ROOT, exported), f"the programs export {len(exported.labels)} metrics, among them every one that is used")
    line("runbook", attempt(runbook, ROOT), f"{RUNBOOK} has a section for each alert")
    for name, check, fault, apply in broken_copies(exported) if exported else []:
        with tempfile.TemporaryDirectory() as temporary:
            copy_files(Path(temporary))
            edit_errors = attempt(apply, Path(temporary))
            is_detected = not edit_errors and attempt(check, Path(temporary))
        line(f"broken copy ({name})", edit_errors or ([] if is_detected else ["the check did not detect it"]), fault)
    return 1 if failed else 0


if __name__ == "__main__":
    # At SIGTERM, exit normally, so that the processes that were started are ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
