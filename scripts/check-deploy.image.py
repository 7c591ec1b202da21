"""The programs of the image, in a folder that has the image's files and no others.

    check-deploy.image.py ROOT COMPOSE

ROOT is what deploy/image/build laid out, COMPOSE the compose file as JSON. It is called
with mounts, a network and processes of its own, and with root's rights, which it uses to
start what the image starts: as user 65532, read-only, with the environment that the
Dockerfile and the compose file give, and nothing else. There is no /proc and no /dev.
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
# Of the image: what the Dockerfile sets.
IMAGE = dict(re.findall(r"^ENV (PATH|API_LISTEN)=(\S+)$", (HERE / "Dockerfile").read_text(), re.M))
API, WHOOP = "http://127.0.0.1:8080", "http://127.0.0.1:8090"
# Enough for the API to start with, and nobody's.
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
    """What a container engine would start, in its way."""
    if not command[0].startswith("/"):
        command = (f"/usr/local/bin/{command[0]}", *command[1:])
    process = subprocess.Popen(
        ["/usr/bin/setpriv", "--no-new-privs", "/usr/sbin/chroot", "--userspec=65532:65532", "--groups=", ROOT, *command],
        env=IMAGE | (environment or {}),
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
    """How it ended, and what it said."""
    process = start(*command, environment=environment)
    said, _ = process.communicate(timeout=seconds)
    return process.returncode, said


def serve(*command, environment=None, asked):
    """Started, and there once `asked` answers."""
    said = tempfile.TemporaryFile("w+")
    process = start(*command, environment=environment, stdout=said)
    process.said = said
    for _ in range(100):
        if process.poll() is not None:
            break
        try:
            ask(asked)
            return process
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.1)
    raise AssertionError(f"{command[0]} does not serve: {words_of(process)}")


def words_of(process):
    process.said.seek(0)
    return process.said.read()


def stop(process, seconds):
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=seconds)
    return process.returncode


def ask(address, body=None, token=None, form=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    if form is not None:
        data = urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(address, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


def until(what, seconds, question):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = question()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"after {seconds} s: {what}")


def environment_of(service):
    given = SERVICES[service].get("environment", {})
    return {name: value for name, value in given.items() if value is not None}


def check(name):
    def now(function):
        global failed
        try:
            function()
            print(f"  ok     image: {name}", flush=True)
        except Exception as error:  # whatever it is, the next check is made all the same
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

    return now


def equal(found, wanted, about=""):
    assert found == wanted, f"{about} {found!r} instead of {wanted!r}"


# What the engine adds, and then nothing can be changed any more.
(ROOT / "etc/hosts").write_text("127.0.0.1 localhost sim-postgres\n")
(ROOT / "etc/resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
subprocess.run(["mount", "--bind", ROOT, ROOT], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro,nosuid,nodev", ROOT], check=True)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP


@check("nothing in it but what was asked for")
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
        code, said = run(program, "--version")
        equal(code, 0, said)
        assert re.fullmatch(rf"{program} \d+\.\d+\.\d+\n", said), said
    code, said = run("api")
    equal(code, 1, said)
    for name in ("DATABASE_URL is not set", "WHOOP_CLIENT_ID is not set", "AUTH_JWT_SECRET, AUTH_JWKS_URL and AUTH_SERVICE_KEYS are all not set"):
        assert name in said, said


@check("the API without a database: alive, not ready, with its page and its charts")
def _():
    api = serve("api", environment=SETTINGS, asked=f"{API}/healthz")
    equal(ask(f"{API}/healthz")[0], 200)
    equal(ask(f"{API}/readyz")[0], 503)
    equal(ask(f"{API}/")[0], 200)
    equal(ask(f"{API}/page/vendor/uPlot.iife.min.js")[0], 200, "the chart library:")
    status = pathlib.Path(f"/proc/{api.pid}/status").read_text()
    for line in ("Uid:\t65532\t65532\t65532\t65532", "Groups:\t", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"):
        assert line in status, f"not {line!r}: {status}"
    equal(pathlib.Path(f"/proc/{api.pid}/environ").read_bytes().count(b"\0"), len(IMAGE) + len(SETTINGS))
    equal(stop(api, 20), 0, words_of(api))


@check("`api healthcheck`, which the image's HEALTHCHECK runs")
def _():
    code, said = run("api", "healthcheck")
    equal(code, 1, f"with nobody there: {said}")
    serve("api", environment=SETTINGS, asked=f"{API}/healthz")
    code, said = run("api", "healthcheck")
    equal(code, 0, said)


@check("the worker's exit codes 1 and 2")
def _():
    code, said = run("sync-worker", "run", "--slot", "night", environment=SETTINGS)
    equal(code, 1, said)
    code, said = run("sync-worker", "run", "--slot", "noon", environment=SETTINGS)
    equal(code, 2, said)


@check("names are asked of DNS")
def _():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        server.settimeout(10)
        elsewhere = SETTINGS["DATABASE_URL"].replace("127.0.0.1:1", "database.example:1")
        worker = start("sync-worker", "status", environment=SETTINGS | {"DATABASE_URL": elsewhere})
        question, _ = server.recvfrom(512)
        assert b"\x08database\x07example\0" in question, question
        worker.kill()


@check("the roots of trust are found, and needed")
def _():
    # A folder without them in the place of theirs.
    subprocess.run(["mount", "-t", "tmpfs", "empty", ROOT / "etc/ssl/certs"], check=True)
    try:
        code, said = run("api", environment=SETTINGS)
    finally:
        subprocess.run(["umount", ROOT / "etc/ssl/certs"], check=True)
    equal(code, 1, said)
    assert "certificates" in said, said


@check("snooze knows the hours of a time zone")
def _():
    code, said = run("snooze", "-n", "-H", "8", "true", environment={"TZ": "Asia/Kathmandu"})
    equal(code, 0, said)
    assert re.search(r"T08:00:00\+0545", said), said


@check("the compose file hands over every variable that the programs have")
def _():
    known = {}
    for service, command in (("api", ["api", "--help"]), ("worker-night", ["sync-worker", "run", "--help"])):
        _, said = run(*command)
        known[service] = set(re.findall(r"\[env: ([A-Z_]+)", said)) - {"METRICS_FILE", *IMAGE}
        given = set(SERVICES[service]["environment"]) - {"TZ"}
        equal(given, known[service], f"{service}:")
    everything = known["api"] | known["worker-night"] | IMAGE.keys() | {"DATABASE_SERVING_ROLE", "METRICS_FILE"}
    settings = [*HERE.glob("deploy/systemd/*.example"), *HERE.glob("deploy/kubernetes/**/settings.env")]
    for path in [*settings, HERE / "deploy/cron/crontab"]:
        named = set(re.findall(r"^#?([A-Z_]+)=", path.read_text(), re.M)) - {"SHELL", "PATH"}
        equal(named - everything, set(), f"{path.name}:")


@check("the compose demo: roles, tables, a member who connects, a webhook, a run at its hour")
def _():
    newest = max(pathlib.Path("/usr/lib/postgresql").iterdir(), key=lambda path: int(path.name)) / "bin"
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "env", "-i", f"PGHOST={place}"]

        def postgres(program, *args, **options):
            return [*as_postgres, *options.get("given", ()), newest / program, *args]

        quiet = {"check": True, "capture_output": True, "text": True, "cwd": place}
        subprocess.run(
            postgres("initdb", "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256", f"--pgdata={place}/data"), **quiet
        )
        said = tempfile.TemporaryFile("w+")
        server = subprocess.Popen(
            postgres("postgres", "-D", f"{place}/data", "-k", place, "-F"), cwd=place, stdout=said, stderr=said
        )
        running.append(server)
        server.said = said
        ready = lambda: subprocess.run(postgres("pg_isready", "--quiet"), cwd=place).returncode == 0
        until("PostgreSQL is not there", 30, ready)
        # As its image does at the first start.
        subprocess.run(postgres("createdb", "whoop"), **quiet)
        given = [f"{name}={value}" for name, value in environment_of("sim-postgres").items()]
        roles = (HERE / "deploy/compose/roles.sh").read_text()
        subprocess.run([*as_postgres, f"PATH={newest}:/usr/bin:/bin", *given, "bash", "-s"], input=roles, **quiet)

        for _ in range(2):
            code, said = run(*SERVICES["sim-migrate"]["command"], environment=environment_of("sim-migrate"))
            equal(code, 0, said)
        as_serving = environment_of("sim-api")["DATABASE_URL"].replace("sim-postgres", "127.0.0.1")
        tried = subprocess.run(
            postgres("psql", as_serving, "--command", "CREATE TABLE mine ()"), cwd=place, capture_output=True, text=True
        )
        assert "permission denied" in tried.stderr, tried

        serve("whoop-sim", *SERVICES["simulator"]["command"], asked=f"{WHOOP}/_sim/state")
        api = serve("api", environment=environment_of("sim-api"), asked=f"{API}/healthz")
        equal(ask(f"{API}/readyz")[0], 200)

        token = subprocess.run([HERE / "deploy/compose/token", "somebody"], **quiet).stdout.strip()
        status, begun = ask(f"{API}/api/v1/whoop/connect/somebody", token=token, body={})
        equal(status, 200, begun)
        # The consent page, and what a person does there.
        _, page = ask(json.loads(begun)["authorization_url"])
        form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
        form = {name: html.unescape(value) for name, value in form.items()}
        person = re.search(r'<option value="(\d+)" selected', page)[1]
        status, landed = ask(f"{WHOOP}/oauth/oauth2/auth", form=form | {"person": person, "decision": "allow"})
        equal(status, 200, landed)

        def nights():
            today = time.strftime("%Y-%m-%d")
            span = f"from=2020-01-01&to={today}&limit=1"
            _, said = ask(f"{API}/api/v1/whoop/records/sleep/somebody?{span}", token=token)
            return json.loads(said).get("records")

        night = until("no night was read", 30, nights)[0]
        patch = {"whoop_user_id": int(person), "data_type": "sleep", "op": "patch", "id": night["id"], "merge": {"nap": night["nap"]}}
        status, said = ask(f"{WHOOP}/_sim/edit", body=patch)
        assert status in (200, 204), said
        sent = lambda: [d for d in re.findall(r'"status":\s*(\d+)', ask(f"{WHOOP}/_sim/webhooks")[1])]
        codes = until("no webhook was sent", 15, sent)
        assert all(code.startswith("2") for code in codes), codes

        waiting = start("/usr/local/bin/snooze", "-s", "1h", *SERVICES["sim-worker"]["command"], environment=environment_of("sim-worker"))
        time.sleep(0.5)
        assert waiting.poll() is None, waiting.communicate()
        waiting.send_signal(signal.SIGALRM)
        said, _ = waiting.communicate(timeout=120)
        equal(waiting.returncode, 0, said)
        equal(stop(api, 20), 0, words_of(api))


sys.exit(1 if failed else 0)
