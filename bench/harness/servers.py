"""The two servers under test, started in the same way."""

import base64
import hashlib
import http.client
import json
import secrets

from .postgres import free_port
from .processes import Process, environment

POOL_SIZE = 8


class Server:
    """A server that answers on a port of 127.0.0.1."""

    def __init__(self, name, folder, key):
        self.name, self.folder, self.key, self.port = name, folder, key, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self, command, ready, **variables):
        log = self.folder / f"{self.name}.log"
        digest = hashlib.sha256(self.key.encode()).hexdigest()
        env = environment(AUTH_SERVICE_KEYS=digest, DATABASE_POOL_SIZE=str(POOL_SIZE), **variables)
        self.process = Process(self.name, command, log, env, cwd=self.folder)
        self.process.wait_until(lambda: self.answers(ready))

    def answers(self, path):
        try:
            return self.get(path)[0] < 500
        except OSError:
            return False

    def get(self, path, **headers):
        """Sends a request and returns status, headers and body of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.key}", **headers})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def day(self, user, date):
        status, _, body = self.get(f"/api/v1/whoop/daily-data/{user}?date={date}")
        return status, json.loads(body)

    def stop(self):
        if self.process:
            self.process.stop()


def start_api(program, postgres, folder, key, jwt_secret):
    server = Server("api", folder, key)
    closed_port = f"http://127.0.0.1:{free_port()}"
    server.start(
        [program],
        "/readyz",
        API_LISTEN=f"127.0.0.1:{server.port}",
        DATABASE_URL=postgres.url,
        AUTH_JWT_SECRET=jwt_secret,
        TOKEN_KEYS="k1:" + base64.b64encode(secrets.token_bytes(32)).decode(),
        WHOOP_CLIENT_ID="bench",
        WHOOP_CLIENT_SECRET="the-bench-has-no-app",
        WHOOP_REDIRECT_URL=f"{server.address}/api/v1/whoop/callback",
        # No program listens there, so a request that calls WHOOP fails.
        WHOOP_API_URL=f"{closed_port}/developer",
        WHOOP_OAUTH_URL=f"{closed_port}/oauth/oauth2",
        # No log line per request, as with FastAPI.
        RUST_LOG="warn",
    )
    return server


def start_fastapi(venv, app_folder, postgres, folder, key, workers):
    server = Server(f"fastapi-{workers}", folder, key)
    server.start(
        [
            venv / "bin" / "python", "-m", "uvicorn", "app:app", "--app-dir", app_folder,
            "--host", "127.0.0.1", "--port", server.port, "--workers", workers,
            "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
        ],
        "/",
        DATABASE_URL=postgres.url,
        PYTHONDONTWRITEBYTECODE="1",
    )
    return server
