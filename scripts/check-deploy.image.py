"""Tests the programs of the image in a folder that contains only the files of the image.

    check-deploy.image.py ROOT COMPOSE

ROOT is the folder that deploy/image/build created, COMPOSE the compose file as JSON. Call it
as root, in mount, network and process namespaces of its own. It starts the programs as the
image does: as user 65532, read-only, with only the environment variables that the Dockerfile
and the compose file set. There is no /proc and no /dev.
"""

import fcntl
import html
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(sys.argv[1])
SERVICES = json.loads(pathlib.Path(sys.argv[2]).read_text())["services"]
HERE = pathlib.Path(__file__).resolve().parent.parent
# The environment variables that the Dockerfile sets.
IMAGE_ENVIRONMENT = dict(re.findall(r"^ENV (PATH|API_LISTEN)=(\S+)$", (HERE / "Dockerfile").read_text(), re.M))
API, WHOOP = "http://127.0.0.1:8080", "http://127.0.0.1:8090"
# The settings without which the API does not start; none of the values is real.
SETTINGS = {
    "AUTH_SERVICE_KEYS": "0" * 64,
    "DATABASE_URL": "postgres://nobody:nothing@127.0.0.1:1/nothing",
    "TOKEN_KEYS": "k1:" + "A" * 43 + "=",
    "WHOOP_CLIENT_ID": "nobody",
    "WHOOP_CLIENT_SECRET": "nothing-of-any-app",
    "WHOOP_REDIRECT_URL": "https://whoop.example/api/v1/whoop/callback",
}

running, failed = [], False


def start(*command, environment=None, **options):
    """Starts a program as a container engine would."""
    if not command[0].startswith("/"):
        command = (f"/usr/local/bin/{command[0]}", *command[1:])
    process = subprocess.Popen(
        ["/usr/bin/setpriv", "--no-new-privs", "/usr/sbin/chroot", "--userspec=65532:65532", "--groups=", ROOT, *command],
        env=IMAGE_ENVIRONMENT | (environment or {}),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    running.append(process)
    return process


def run(*command, environment=None, seconds=30):
    """Runs a program to its end. Returns its exit code and its output."""
    process = start(*command, environment=environment)
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


def serve(*command, environment=None, url):
    """Starts a server and waits until `url` answers."""
    log = tempfile.TemporaryFile("w+")
    process = start(*command, environment=environment, stdout=log)
    process.log = log
    for _ in range(100):
        if process.poll() is not None:
            break
        try:
            request(url)
            return process
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.1)
    raise AssertionError(f"{command[0]} does not answer at {url}: {log_of(process)}")


def log_of(process):
    process.log.seek(0)
    return process.log.read()


def stop(process, seconds):
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=seconds)
    return process.returncode


def request(address, body=None, token=None, form=None):
    """Sends a request. Returns the status and the text of the response."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    if form is not None:
        data = urllib.parse.urlencode(form).encode()
    message = urllib.request.Request(address, data=data, headers=headers)
    try:
        with urllib.request.urlopen(message, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as response:
        return response.code, response.read().decode()


def wait_until(failure, seconds, condition):
    """Waits until `condition` returns a true value, and returns it; `failure` says what is missing."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.2)
    raise AssertionError(f"after {seconds} s: {failure}")


def environment_of(service):
    given = SERVICES[service].get("environment", {})
    return {name: value for name, value in given.items() if value is not None}


def check(name):
    """Decorator: runs the function at once and prints the result; then kills what it started."""

    def run_check(function):
        global failed
        try:
            function()
            print(f"  ok     image: {name}", flush=True)
        except Exception as error:  # the next check runs after every kind of failure
            failed = True
            print(f"  FAILED image: {name}", flush=True)
            for line in (str(error) or repr(error)).splitlines()[-20:]:
                print(f"           {line}", flush=True)
        finally:
            while running:
                process = running.pop()
                if process.poll() is None:
                    process.kill()
                    process.wait()

    return run_check


def equal(actual, expected, context=""):
    assert actual == expected, f"{context} {actual!r} instead of {expected!r}"


# The files that a container engine adds. After that, the folder is read-only.
(ROOT / "etc/hosts").write_text("127.0.0.1 localhost sim-postgres\n")
(ROOT / "etc/resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
subprocess.run(["mount", "--bind", ROOT, ROOT], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro,nosuid,nodev", ROOT], check=True)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP


@check("contains only the expected programs and packages")
def _():
    names = sorted(path.name for path in (ROOT / "usr/local/bin").iterdir())
    equal(names, ["api", "snooze", "sync-worker", "whoop-sim"])
    executable = {p.name for p in ROOT.rglob("*") if p.is_file() and os.access(p, os.X_OK)} - set(names)
    others = {name for name in executable if not re.match(r"(lib[a-z_]+|ld-linux.*)\.so\.\d+$", name)}
    equal(others, set(), "programs:")
    writable = [p for p in ROOT.rglob("*") if not p.is_symlink() and p.stat().st_mode & 0o022 and p.name != "tmp"]
    equal(writable, [], "writable:")
    debian = sorted(path.name for path in (ROOT / "var/lib/dpkg/status.d").iterdir())
    equal(debian, ["ca-certificates", "libc6", "libgcc-s1", "tzdata"])


@check("each program starts from an empty environment")
def _():
    for program in ("api", "sync-worker", "whoop-sim"):
        code, output = run(program, "--version")
        equal(code, 0, output)
        assert re.fullmatch(rf"{program} \d+\.\d+\.\d+\n", output), output
    code, output = run("api")
    equal(code, 1, output)
    for name in ("DATABASE_URL is not set", "WHOOP_CLIENT_ID is not set", "AUTH_JWT_SECRET, AUTH_JWKS_URL and AUTH_SERVICE_KEYS are all not set"):
        assert name in output, output


@check("the API without a database is alive, not ready, and serves the page and the charts")
def _():
    api = serve("api", environment=SETTINGS, url=f"{API}/healthz")
    equal(request(f"{API}/healthz")[0], 200)
    equal(request(f"{API}/readyz")[0], 503)
    equal(request(f"{API}/")[0], 200)
    equal(request(f"{API}/page/vendor/uPlot.iife.min.js")[0], 200, "the chart library:")
    status = pathlib.Path(f"/proc/{api.pid}/status").read_text()
    for line in ("Uid:\t65532\t65532\t65532\t65532", "Groups:\t", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"):
        assert line in status, f"the status has no {line!r}: {status}"
    equal(pathlib.Path(f"/proc/{api.pid}/environ").read_bytes().count(b"\0"), len(IMAGE_ENVIRONMENT) + len(SETTINGS))
    equal(stop(api, 20), 0, log_of(api))


@check("`api healthcheck`, which the image's HEALTHCHECK runs")
def _():
    code, output = run("api", "healthcheck")
    equal(code, 1, f"while no API runs: {output}")
    serve("api", environment=SETTINGS, url=f"{API}/healthz")
    code, output = run("api", "healthcheck")
    equal(code, 0, output)


@check("the worker's exit codes 1 and 2")
def _():
    code, output = run("sync-worker", "run", "--slot", "night", environment=SETTINGS)
    equal(code, 1, output)
    code, output = run("sync-worker", "run", "--slot", "noon", environment=SETTINGS)
    equal(code, 2, output)


@check("host names are resolved with DNS")
def _():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        server.settimeout(10)
        elsewhere = SETTINGS["DATABASE_URL"].replace("127.0.0.1:1", "database.example:1")
        worker = start("sync-worker", "status", environment=SETTINGS | {"DATABASE_URL": elsewhere})
        question, _ = server.recvfrom(512)
        assert b"\x08database\x07example\0" in question, question
        worker.kill()


@check("the root certificates are found, and required")
def _():
    # An empty folder in place of the certificates.
    subprocess.run(["mount", "-t", "tmpfs", "empty", ROOT / "etc/ssl/certs"], check=True)
    try:
        code, output = run("api", environment=SETTINGS)
    finally:
        subprocess.run(["umount", ROOT / "etc/ssl/certs"], check=True)
    equal(code, 1, output)
    assert "certificates" in output, output


@check("snooze uses the time zone of TZ")
def _():
    code, output = run("snooze", "-n", "-H", "8", "true", environment={"TZ": "Asia/Kathmandu"})
    equal(code, 0, output)
    assert re.search(r"T08:00:00\+0545", output), output


@check("the compose file passes on every variable of the programs")
def _():
    known = {}
    for service, command, variable in (
        ("api", ["api", "--help"], r"\[env: ([A-Z_]+)"),
        ("worker-night", ["sync-worker", "help", "settings"], r"(?m)^  ([A-Z_]+) "),
    ):
        _, output = run(*command)
        known[service] = set(re.findall(variable, output)) - {"METRICS_FILE", *IMAGE_ENVIRONMENT}
        given = set(SERVICES[service]["environment"]) - {"TZ"}
        equal(given, known[service], f"{service}:")
    all_variables = known["api"] | known["worker-night"] | IMAGE_ENVIRONMENT.keys() | {"DATABASE_SERVING_ROLE", "METRICS_FILE"}
    settings = [*HERE.glob("deploy/systemd/*.example"), *HERE.glob("deploy/kubernetes/**/settings.env")]
    for path in [*settings, HERE / "deploy/cron/crontab"]:
        named = set(re.findall(r"^#?([A-Z_]+)=", path.read_text(), re.M)) - {"SHELL", "PATH"}
        equal(named - all_variables, set(), f"unknown variables in {path.name}:")


@check("the compose demo: roles, tables, a connect, a webhook, a scheduled run")
def _():
    newest = max(pathlib.Path("/usr/lib/postgresql").iterdir(), key=lambda path: int(path.name)) / "bin"
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "env", "-i", f"PGHOST={folder}"]

        def postgres(program, *args, **options):
            return [*as_postgres, *options.get("variables", ()), newest / program, *args]

        quiet = {"check": True, "capture_output": True, "text": True, "cwd": folder}
        subprocess.run(
            postgres("initdb", "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256", f"--pgdata={folder}/data"), **quiet
        )
        log = tempfile.TemporaryFile("w+")
        server = subprocess.Popen(
            postgres("postgres", "-D", f"{folder}/data", "-k", folder, "-F"), cwd=folder, stdout=log, stderr=log
        )
        running.append(server)
        server.log = log
        ready = lambda: subprocess.run(postgres("pg_isready", "--quiet"), cwd=folder).returncode == 0
        wait_until("PostgreSQL does not accept connections", 30, ready)
        # What the image of PostgreSQL does at its first start.
        subprocess.run(postgres("createdb", "whoop"), **quiet)
        variables = [f"{name}={value}" for name, value in environment_of("sim-postgres").items()]
        roles = (HERE / "deploy/compose/roles.sh").read_text()
        subprocess.run([*as_postgres, f"PATH={newest}:/usr/bin:/bin", *variables, "bash", "-s"], input=roles, **quiet)

        for _ in range(2):
            code, output = run(*SERVICES["sim-migrate"]["command"], environment=environment_of("sim-migrate"))
            equal(code, 0, output)
        as_serving = environment_of("sim-api")["DATABASE_URL"].replace("sim-postgres", "127.0.0.1")
        attempt = subprocess.run(
            postgres("psql", as_serving, "--command", "CREATE TABLE mine ()"), cwd=folder, capture_output=True, text=True
        )
        assert "permission denied" in attempt.stderr, attempt

        serve("whoop-sim", *SERVICES["simulator"]["command"], url=f"{WHOOP}/_sim/state")
        api = serve("api", environment=environment_of("sim-api"), url=f"{API}/healthz")
        equal(request(f"{API}/readyz")[0], 200)

        token = subprocess.run([HERE / "deploy/compose/token", "alice"], **quiet).stdout.strip()
        status, connect = request(f"{API}/api/v1/whoop/connect/alice", token=token, body={})
        equal(status, 200, connect)
        # Submit the form of the consent page, as a person would.
        _, page = request(json.loads(connect)["authorization_url"])
        form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
        form = {name: html.unescape(value) for name, value in form.items()}
        person = re.search(r'<option value="(\d+)" selected', page)[1]
        status, result = request(f"{WHOOP}/oauth/oauth2/auth", form=form | {"person": person, "decision": "allow"})
        equal(status, 200, result)

        def nights():
            today = time.strftime("%Y-%m-%d")
            span = f"from=2020-01-01&to={today}&limit=1"
            _, records = request(f"{API}/api/v1/whoop/records/sleep/alice?{span}", token=token)
            return json.loads(records).get("records")

        night = wait_until("no sleep was stored", 30, nights)[0]
        patch = {"whoop_user_id": int(person), "data_type": "sleep", "op": "patch", "id": night["id"], "merge": {"nap": night["nap"]}}
        status, output = request(f"{WHOOP}/_sim/edit", body=patch)
        assert status in (200, 204), output
        webhook_statuses = lambda: re.findall(r'"status":\s*(\d+)', request(f"{WHOOP}/_sim/webhooks")[1])
        codes = wait_until("no webhook was sent", 15, webhook_statuses)
        assert all(code.startswith("2") for code in codes), codes

        waiting = start("/usr/local/bin/snooze", "-s", "1h", *SERVICES["sim-worker"]["command"], environment=environment_of("sim-worker"))
        time.sleep(0.5)
        assert waiting.poll() is None, waiting.communicate()
        waiting.send_signal(signal.SIGALRM)
        output, _ = waiting.communicate(timeout=120)
        equal(waiting.returncode, 0, output)
        equal(stop(api, 20), 0, log_of(api))


sys.exit(1 if failed else 0)
