"""What scripts/check-observe does: see there.

A check is a function that takes a folder (the repository or a broken copy of what it
looks at) and gives back what is wrong, a line each.
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
BOOK = "OPERATIONS.md"

# The heading under which the book has a section for each alert.
ALERTS_BEGIN = "## When an alert fires"


# ---- promtool


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=110)
    if done.returncode == 0:
        return []
    words = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    return [line for line in words if line and not re.match(r"Checking|Unit Testing|SUCCESS", line)] or ["promtool failed"]


def config(folder):
    text = (folder / CONFIG).read_text()
    named = "/etc/prometheus/rules.yml"
    if named not in text:
        return [f"{CONFIG} does not read {named}, where the compose file puts the rules"]
    with tempfile.TemporaryDirectory() as there:
        # The path of the container is none here.
        copy = Path(there) / "prometheus.yml"
        copy.write_text(text.replace(named, str((folder / RULES).resolve())))
        found = promtool("check", "config", str(copy))
    jobs = {job["job_name"]: job for job in yaml.safe_load(text).get("scrape_configs", [])} if not found else {}
    if not found and "api:8081" not in str(jobs.get("whoop-api")):
        found.append("the job whoop-api does not ask api:8081")
    return found


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
        return ["the dashboard asks nothing"]
    with tempfile.TemporaryDirectory() as there:
        file = Path(there) / "queries.yml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
        return promtool("check", "rules", str(file))


# ---- the rules


def groups(folder):
    return yaml.safe_load((folder / RULES).read_text())["groups"]


def alerts(folder):
    return [rule for group in groups(folder) for rule in group["rules"] if "alert" in rule]


def alert_shape(folder):
    found, names = [], set()
    for alert in alerts(folder):
        name, notes = alert["alert"], alert.get("annotations", {})
        if name in names:
            found.append(f"{name} is there twice")
        names.add(name)
        if alert.get("labels", {}).get("severity") not in ("critical", "warning"):
            found.append(f"{name} has no severity, critical or warning")
        if "for" not in alert:
            found.append(f"{name} has no `for`: a single look would wake somebody")
        found += [f"{name} has no {one}" for one in ("summary", "description") if len(notes.get(one, "")) < 10]
        if notes.get("runbook_url") != f"{BOOK}#{name.lower()}":
            found.append(f"{name}: runbook_url is not {BOOK}#{name.lower()}")
    return found


def alerts_tested(folder):
    """Each alert fires in one test and keeps still in another."""
    fires, still, found = set(), set(), []
    for file in TESTS:
        for test in yaml.safe_load((folder / file).read_text())["tests"]:
            for one in test.get("alert_rule_test", []):
                (fires if one.get("exp_alerts") else still).add(one["alertname"])
            for one in test.get("promql_expr_test", []):
                name = re.search(r'ALERTS\{alertname="(\w+)", alertstate="firing"\}', one["expr"])
                if name:
                    (fires if one.get("exp_samples") else still).add(name.group(1))
    names = {alert["alert"] for alert in alerts(folder)}
    found += [f"no test lets {name} fire" for name in sorted(names - fires)]
    found += [f"no test keeps {name} from firing" for name in sorted(names - still)]
    found += [f"a test names {name}, which is no alert" for name in sorted((fires | still) - names)]
    return found


# ---- the dashboard


def dashboard(folder):
    return json.loads((folder / DASHBOARD).read_text())


def dashboard_queries(folder):
    whole = dashboard(folder)
    for panel in whole["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for one in whole.get("annotations", {}).get("list", []):
        if "expr" in one:
            yield one["name"], one["expr"]


def dashboard_shape(folder):
    try:
        whole = dashboard(folder)
    except ValueError as error:
        return [f"{DASHBOARD}: {error}"]
    sources = yaml.safe_load((folder / DATASOURCES).read_text())["datasources"]
    uids = {one["uid"] for one in sources if one["type"] == "prometheus" and one["url"] == "http://prometheus:9090"}
    providers = yaml.safe_load((folder / PROVIDERS).read_text())["providers"]
    found = []
    if "/var/lib/grafana/dashboards" not in {one["options"]["path"] for one in providers}:
        found.append("no provider reads /var/lib/grafana/dashboards, where the compose file puts the dashboards")
    found += [f"the dashboard has no {one}" for one in ("uid", "title", "schemaVersion") if not whole.get(one)]
    if whole.get("id") is not None:
        found.append("the dashboard has an id, which is another one in every Grafana")
    seen, taken = set(), {}
    for panel in whole["panels"]:
        what = panel.get("title") or f"panel {panel.get('id')}"
        if not panel.get("title"):
            found.append(f"{what} has no title")
        if not isinstance(panel.get("id"), int) or panel["id"] in seen:
            found.append(f"{what}: its id {panel.get('id')} is there twice, or is none")
        seen.add(panel.get("id"))
        place = panel.get("gridPos", {})
        if set(place) != {"x", "y", "w", "h"} or place["x"] + place["w"] > 24:
            found.append(f"{what} does not lie within the 24 columns")
        else:
            for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])):
                if taken.setdefault(cell, what) != what:
                    found.append(f"{what} lies over {taken[cell]}")
                    break
        if panel.get("type") == "row":
            continue
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        if not defaults.get("unit"):
            found.append(f"{what} has no unit")
        if not defaults.get("thresholds", {}).get("steps"):
            found.append(f"{what} has no thresholds")
        if not panel.get("description"):
            found.append(f"{what} does not say what it shows")
        if not panel.get("targets"):
            found.append(f"{what} asks nothing")
        for one in [panel, *panel.get("targets", [])]:
            source = one.get("datasource") or {}
            if source.get("uid") not in uids or source.get("type") != "prometheus":
                found.append(f"{what}: its datasource {source.get('uid')} is not provisioned")
    return found


# ---- the book


def book(folder):
    text = (folder / BOOK).read_text()
    parts = re.split(rf"(?m)^{re.escape(ALERTS_BEGIN)}$", text)
    if len(parts) != 2:
        return [f"{BOOK} has no heading `{ALERTS_BEGIN}`"]
    within = re.split(r"(?m)^## ", parts[1])[0]
    sections = {}
    for section in re.split(r"(?m)^### ", within)[1:]:
        heading, _, body = section.partition("\n")
        if heading in sections:
            return [f"{BOOK} has {heading} twice"]
        sections[heading] = body
    names = {alert["alert"] for alert in alerts(folder)}
    found = [f"{BOOK} has no heading {name}" for name in sorted(names - set(sections))]
    found += [f"{BOOK} has a heading {name}, and no alert is called so" for name in sorted(set(sections) - names)]
    for name, body in sections.items():
        found += [f"{BOOK}: {name} has no {part}" for part in ("**Means.**", "**Look.**", "**Do.**") if part not in body]
        if "`" not in body:
            found.append(f"{BOOK}: {name} names no command")
    return found + links(text)


def links(text):
    """Places of the repository that the book points at, and that are not there."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = text if not file else (ROOT / file).read_text() if (ROOT / file).is_file() else None
        if there is None:
            found.append(f"{BOOK} points at {file}, which is not there")
        elif anchor and anchor not in {slug(one) for one in re.findall(r"(?m)^#+ (.*)$", there)}:
            found.append(f"{BOOK} points at {target}, and there is no such heading")
    return found


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# ---- what rules and dashboard name, and what the product exports

TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<number>\d[\w.]*)
  | (?P<name>[A-Za-z_][\w:]*)
  | (?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){}\[\],@:])
)""",
    re.X,
)
# Words that a list of labels follows.
LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = LISTS | {"and", "or", "unless", "offset", "bool", "atan2"}
# Every target has these, and Prometheus itself the rest.
ALWAYS = {"job", "instance", "le"}
OF_PROMETHEUS = {"up": set(), "ALERTS": {"alertname", "alertstate"}}


def selectors(expr):
    """Every metric of a query with its matchers, and every label that is grouped by."""
    tokens, place = [], 0
    expr = expr.replace("$__rate_interval", "5m").strip()
    while place < len(expr):
        match = TOKEN.match(expr, place)
        if not match:
            raise ValueError(f"{expr[place:]!r} is not understood")
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        place = match.end()
    tokens.append(("end", ""))
    named, grouped, index = [], set(), 0
    while index < len(tokens) - 1:
        kind, word = tokens[index]
        following = tokens[index + 1][1]
        index += 1
        if kind != "name":
            continue
        if word in LISTS and following == "(":
            end = tokens.index(("sign", ")"), index)
            grouped |= {text for kind, text in tokens[index:end] if kind == "name"}
            index = end + 1
        elif word in WORDS or following == "(" or following in LISTS:
            continue
        else:
            matchers = []
            if following == "{":
                end = tokens.index(("sign", "}"), index)
                inner = [one for one in tokens[index + 1 : end] if one != ("sign", ",")]
                matchers = [(inner[n][1], inner[n + 1][1], inner[n + 2][1][1:-1]) for n in range(0, len(inner), 3)]
                index = end + 1
            named.append((word, matchers))
    return named, grouped


class Exported:
    """What a running product says at /metrics and in the worker's textfile."""

    # Values that come only when WHOOP or a caller does something that is not tried here.
    # The words are those of `Made::outcome` in whoop-client.
    RARE = {
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

    def know_routes(self, routes):
        for name in [one for one in self.labels if one.startswith("whoop_http_request")]:
            self.values.setdefault((name, "route"), set()).update(routes)

    def of(self, name, label):
        return self.values.get((name, label), set()) | self.RARE.get((name, label), set())


def metrics_exist(folder, exported):
    asked = [(rule.get("alert") or rule["record"], rule["expr"]) for group in groups(folder) for rule in group["rules"]]
    asked += list(dashboard_queries(folder))
    recorded, found = {}, []
    for rule in (rule for group in groups(folder) for rule in group["rules"] if "record" in rule):
        sources, labels = selectors(rule["expr"])
        recorded[rule["record"]] = labels, {name for name, _ in sources}

    def known(name, label):
        if name in recorded:
            return set().union(*(known(source, label) for source in recorded[name][1]))
        return exported.of(name, label)

    for who, expr in asked:
        try:
            named, _ = selectors(expr)
        except (ValueError, IndexError) as error:
            found.append(f"{who}: {error}")
            continue
        for name, matchers in named:
            if name in OF_PROMETHEUS:
                labels = OF_PROMETHEUS[name]
            elif name in recorded:
                labels = recorded[name][0]
            elif name in exported.labels:
                labels = exported.labels[name]
            else:
                found.append(f"{who}: nobody exports {name}")
                continue
            if name.startswith("whoop_") and name not in recorded and "whoop_sync_run" not in name:
                if not any(label == "job" for label, _, _ in matchers):
                    found.append(f"{who}: {name} without a job is the API's and the last run's together")
            for label, sign, value in matchers:
                if label not in labels | ALWAYS:
                    found.append(f"{who}: {name} has no label {label}")
                elif name not in OF_PROMETHEUS and label not in ALWAYS:
                    found += [f"{who}: {label} of {name} is never {one}" for one in unheard(sign, value, known(name, label))]
    return found


def unheard(sign, value, heard):
    """Values of a matcher that no series has; of a pattern, each of its alternatives."""
    value = value.replace("\\\\", "\\")
    if sign in ("=", "!="):
        return [] if value in heard or value == "" else [value]
    group = re.fullmatch(r"(.*)\(([^()]*)\)(.*)", value)
    patterns = [group[1] + one + group[3] for one in group[2].split("|")] if group else value.split("|")
    return [one for one in patterns if not any(re.fullmatch(one, each) for each in heard)]


# ---- a running product


def free_ports(count):
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def ask(url, token=None, body=None, timeout=20):
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode())
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    if body is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until(what, look, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise RuntimeError(f"{what} did not come within {seconds} s")


def end(process, sign=signal.SIGTERM):
    process.send_signal(sign)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def environment(**more):
    ours = ("DATABASE_", "WHOOP_", "TOKEN_", "API_", "AUTH_", "PG", "RUST_LOG", "LOG_FORMAT", "METRICS_FILE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours) or name == "PG_BIN_DIR"}
    return kept | more


def export(demo, stack):
    """Starts the demo and a worker, has them do a little of everything, and reads what they export."""
    exported = Exported()
    there = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    there.chmod(0o755)
    api_port, sim_port, pg_port = free_ports(3)
    log = there / "demo.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [demo, "--api-port", str(api_port), "--sim-port", str(sim_port), "--days", "60", "--people", "1"],
            stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment(),
        )
    stack.callback(end, process)

    def ready():
        if process.poll() is not None:
            raise RuntimeError("the demo ended: " + log.read_text()[-2000:])
        return re.search(r"Bearer (\S+)' '?(http://\S+?)/api/v1/whoop/daily-data/([^\s'?]+)", log.read_text())

    token, base, member = until("the demo", ready, 60).groups()
    sim = re.search(r"simulator +(http://\S+)", log.read_text()).group(1)
    of = f"{base}/api/v1/whoop"
    today = date.today()
    span = f"from={today - timedelta(20)}&to={today}"
    for path in (f"range/{member}?{span}", f"changes/{member}?since=0", f"sync-status/{member}", f"daily-data/{member}"):
        ask(f"{of}/{path}", token)
    ask(f"{of}/daily-data/{member}")
    _, records = ask(f"{of}/records/sleep/{member}?{span}&limit=1", token)
    record = json.loads(records)["records"][0]
    # A webhook, and with it a change whose delay is known.
    ask(f"{sim}/_sim/edit", body={"whoop_user_id": record["user_id"], "data_type": "sleep", "op": "patch",
                                  "id": record["id"], "merge": {"score": {"respiratory_rate": 17.5}}})

    def changed():
        # Long counts are taken every ten seconds.
        text = ask(f"{base}/metrics")[1]
        return "whoop_change_delay_seconds{" in text and "whoop_sync_age_seconds{" in text

    until("the first change", changed, 40)
    # WHOOP returns status 503, a token expires, and WHOOP limits the rate. Days before the look-back are
    # read for each request, even if the newest days are fresh.
    def read_back(data_type, expected):
        def is_counted():
            # A request starts nothing while an earlier one is still running.
            ask(f"{of}/sync/{member}", token, {"data_types": [data_type], "from": f"{today - timedelta(45)}"})
            return expected in ask(f"{base}/metrics")[1]

        until(expected, is_counted, 40)

    ask(f"{sim}/_sim/faults", body=[{"route": "workout", "kind": "status", "status": 503, "times": 1}])
    read_back("workout", 'outcome="server_error"')
    ask(f"{sim}/_sim/expire", body={})
    read_back("cycle", 'endpoint="oauth/token (refresh)"')
    ask(f"{sim}/_sim/faults", body=[{"route": "recovery", "kind": "rate_limited", "times": 1}])
    read_back("recovery", 'outcome="rate_limited"')
    exported.read(ask(f"{base}/metrics")[1])
    exported.know_routes(json.loads(ask(f"{base}/openapi.json")[1])["paths"])
    exported.read(textfile(Path(demo).parent / "sync-worker", there, pg_port, stack))
    return exported


def textfile(worker, there, port, stack):
    """What a run leaves for node-exporter, of a database with nobody in it."""
    folder = there / "pg"
    folder.mkdir()
    account = {}
    if os.getuid() == 0:
        # PostgreSQL refuses root.
        user = next((pwd.getpwnam(name) for name in ("postgres", "nobody") if any(one.pw_name == name for one in pwd.getpwall())), None)
        os.chown(folder, user.pw_uid, user.pw_gid)
        account = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    places = [os.environ.get("PG_BIN_DIR"), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: -int(one.parent.name.split(".")[0]))), *os.get_exec_path()]
    programs = next(Path(one) for one in places if one and (Path(one) / "initdb").is_file() and (Path(one) / "postgres").is_file())
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
    until("PostgreSQL", lambda: subprocess.run([worker, "migrate"], capture_output=True, env=settings).returncode == 0, 30)
    file = there / "run.prom"
    subprocess.run([worker, "run", "--slot", "night", "--metrics-file", file], check=True, capture_output=True, env=settings, timeout=60)
    return file.read_text()


# ---- each check on a broken copy


def breaking(file, old, new):
    def apply(folder):
        path = folder / file
        text = path.read_text()
        if old not in text:
            raise RuntimeError(f"{file} has no {old!r}: the copy would be whole")
        path.write_text(text.replace(old, new, 1))

    return apply


def break_panel(change):
    def apply(folder):
        whole = dashboard(folder)
        change([panel for panel in whole["panels"] if panel["type"] != "row"])
        (folder / DASHBOARD).write_text(json.dumps(whole))

    return apply


def broken(exported):
    """Of each check, copies that it must not let pass."""
    exist = lambda folder: metrics_exist(folder, exported)
    return [
        ("promtool config", config, "an unknown setting", breaking(CONFIG, "scrape_timeout:", "scrape_timeouts:")),
        ("promtool config", config, "another target", breaking(CONFIG, "api:8081", "api:9090")),
        ("promtool rules", rules, "a query that is none", breaking(RULES, "max by (status) (", "max by (status) ((")),
        ("promtool rules", rules, "a text that is no template", breaking(RULES, "{{ $labels.instance }}", "{{ $labels.instance }")),
        ("promtool tests", short_tests, "a threshold ten times as high", breaking(RULES, '{window="day"} < 500', '{window="day"} < 50')),
        ("promtool tests", short_tests, "an alert that comes at once", breaking(RULES, "== 0\n        for: 2m", "== 0\n        for: 0m")),
        ("alerts", alert_shape, "an unknown severity", breaking(RULES, "severity: critical", "severity: fatal")),
        ("alerts", alert_shape, "another heading", breaking(RULES, "#whoopapidown", "#whoopdown")),
        ("alerts tested", alerts_tested, "an alert without a test that fires", breaking(TESTS[0], 'alertname="WhoopPoolExhausted"', 'alertname="WhoopApiAbsent"')),
        ("alerts tested", alerts_tested, "an alert without any test", breaking(RULES, "- alert: WhoopApiDown", "- alert: WhoopOther")),
        ("queries", queries, "a query that is none", break_panel(lambda panels: panels[0]["targets"][0].update(expr="sum(rate(up))"))),
        ("dashboard", dashboard_shape, "an id twice", break_panel(lambda panels: panels[1].update(id=panels[0]["id"]))),
        ("dashboard", dashboard_shape, "no title", break_panel(lambda panels: panels[0].update(title=""))),
        ("dashboard", dashboard_shape, "no unit", break_panel(lambda panels: panels[0]["fieldConfig"]["defaults"].pop("unit"))),
        ("dashboard", dashboard_shape, "another datasource", break_panel(lambda panels: panels[0]["targets"][0]["datasource"].update(uid="other"))),
        ("dashboard", dashboard_shape, "a panel over another", break_panel(lambda panels: panels[1].update(gridPos=panels[0]["gridPos"]))),
        ("dashboard", dashboard_shape, "a datasource of another name", breaking(DATASOURCES, "uid: whoop-prometheus", "uid: prometheus")),
        ("metrics", exist, "a metric in the rules that is none", breaking(RULES, "whoop_database_up{", "whoop_database_alive{")),
        ("metrics", exist, "a counter without its ending", breaking(RULES, "rate(whoop_http_requests_total{", "rate(whoop_http_requests{")),
        ("metrics", exist, "a label that is none", breaking(RULES, 'window="day"', 'span="day"')),
        ("metrics", exist, "a value that never comes", breaking(RULES, 'state="waiting"', 'state="queued"')),
        ("metrics", exist, "a route that is none", breaking(RULES, "(range|records|", "(span|records|")),
        ("metrics", exist, "a metric of the API's and the run's", breaking(RULES, 'whoop_users{job="whoop-api"}', "whoop_users")),
        ("metrics", exist, "a metric in the dashboard that is none", break_panel(lambda panels: panels[0]["targets"][0].update(expr="max(whoop_database{job=\"whoop-api\"})"))),
        ("book", book, "an alert without a heading", breaking(BOOK, "\n### WhoopApiDown\n", "\n### WhoopApiGone\n")),
        ("book", book, "a heading without an alert", breaking(RULES, "- alert: WhoopApiDown", "- alert: WhoopOther")),
        ("book", book, "a section that does not say what to do", breaking(BOOK, "**Do.**", "")),
        ("book", book, "a link to nowhere", breaking(BOOK, "](#first-install)", "](#last-install)")),
    ]


def copy_of(folder):
    for file in (RULES, *TESTS, CONFIG, DASHBOARD, DATASOURCES, PROVIDERS, BOOK):
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, target)


def main(demo):
    failed = 0

    def line(name, found, detail=""):
        nonlocal failed
        failed += bool(found)
        print(f"{'FAILED' if found else 'ok':<6} {name}{': ' + detail if detail else ''}", flush=True)
        for one in found[:20]:
            print(f"       {one}", flush=True)

    def attempt(check, *arguments):
        try:
            return check(*arguments)
        except (OSError, ValueError, KeyError, TypeError, IndexError, yaml.YAMLError, subprocess.SubprocessError, RuntimeError) as error:
            return [f"{type(error).__name__}: {error}"]

    line("promtool config", attempt(config, ROOT), CONFIG)
    line("promtool rules", attempt(rules, ROOT), RULES)
    line("promtool tests", attempt(tests, ROOT), ", ".join(TESTS))
    line("alerts", attempt(alert_shape, ROOT), f"{len(alerts(ROOT))} with severity, texts and a runbook")
    line("alerts tested", attempt(alerts_tested, ROOT), "each fires in one test and keeps still in another")
    line("queries", attempt(queries, ROOT), f"{len(list(dashboard_queries(ROOT)))} of the dashboard")
    line("dashboard", attempt(dashboard_shape, ROOT), DASHBOARD)
    exported = None
    with ExitStack() as stack:
        try:
            exported = export(demo, stack)
        except (OSError, RuntimeError, StopIteration, subprocess.SubprocessError, ValueError, KeyError, IndexError) as error:
            line("metrics", [f"{type(error).__name__}: {error}"])
    if exported:
        line("metrics", attempt(metrics_exist, ROOT, exported), f"a running product exports {len(exported.labels)} names, and every one that is asked for")
    line("book", attempt(book, ROOT), f"{BOOK} has a section for each alert")
    for name, check, what, apply in broken(exported) if exported else []:
        with tempfile.TemporaryDirectory() as there:
            copy_of(Path(there))
            unbroken = attempt(apply, Path(there))
            noticed = not unbroken and attempt(check, Path(there))
        line(f"broken copy ({name})", unbroken or ([] if noticed else ["it was not noticed"]), what)
    return 1 if failed else 0


if __name__ == "__main__":
    # Whatever was started ends also where somebody ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
