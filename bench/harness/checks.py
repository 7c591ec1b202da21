"""Checks before the measurement, above all that both servers return the same days."""

import json
import random
from datetime import datetime

from .error import BenchError

DAYS = 300


def check_same_days(api, fastapi, members):
    """Compares random days of both servers, except their `meta`."""
    parts = dict.fromkeys(("recovery", "sleep", "naps", "cycle", "workouts"), 0)
    for user, date in members.sample(random.Random(7), DAYS):
        (api_status, api_day), (fastapi_status, fastapi_day) = api.day(user, date), fastapi.day(user, date)
        if (api_status, fastapi_status) != (200, 200):
            raise BenchError(f"{date} of {user}: status {api_status} from this API, {fastapi_status} from FastAPI: {api_day}")
        meta = api_day.pop("meta")
        fastapi_day.pop("meta")
        if (meta["source"], meta["sync"]) != ("database", "not_needed"):
            raise BenchError(f"{date} of {user} does not come from the database alone: {meta}")
        if parse_times(api_day) != parse_times(fastapi_day):
            raise BenchError(f"{date} of {user} differs:\n{api_day}\n{fastapi_day}")
        for part in parts:
            parts[part] += bool(api_day[part])
    if parts["sleep"] != DAYS or not parts["naps"] or not parts["workouts"]:
        raise BenchError(f"the generated days lack sleeps, naps or workouts: {parts}")
    for server in (api, fastapi):
        status, _, _ = server.get("/api/v1/whoop/daily-data/x?date=2025-01-01", Authorization="Bearer wrong")
        if status != 401:
            raise BenchError(f"{server.name} answers a wrong key with status {status} instead of 401")


def parse_times(value):
    """Replaces timestamps by instants, so that `.000Z` equals `Z`."""
    if isinstance(value, dict):
        return {name: parse_times(item) for name, item in value.items()}
    if isinstance(value, list):
        return [parse_times(item) for item in value]
    if isinstance(value, str) and value.endswith("Z") and "T" in value:
        return datetime.fromisoformat(value)
    return value


def has_whoop_calls(postgres):
    """Whether the quota ledger has a call to WHOOP, sent or only reserved."""
    return postgres.psql("-c", "SELECT count(*) FROM whoop_call_budget") != "0"


def etags(server, members, folder):
    """Writes a file of days with their ETags; returns `None` if the server sends no ETags."""
    lines = []
    for user, date in members.sample(random.Random(11), DAYS):
        path = f"/api/v1/whoop/daily-data/{user}?date={date}"
        _, headers, _ = server.get(path)
        if "ETag" not in headers:
            return None
        if not lines and server.get(path, **{"If-None-Match": headers["ETag"]})[0] != 304:
            return None
        lines.append(f"{path} {headers['ETag']}")
    file = folder / "etags"
    file.write_text("\n".join(lines) + "\n")
    return file


def compresses(server, members):
    user, date = next(members.sample(random.Random(13), 1))
    _, headers, _ = server.get(f"/api/v1/whoop/daily-data/{user}?date={date}", **{"Accept-Encoding": "gzip"})
    return headers.get("Content-Encoding") == "gzip"


def has_range(server, members):
    """Whether the route `range` exists; checks that a year has one row for each date."""
    user, _ = next(members.sample(random.Random(17), 1))
    first = members.oldest_of_year
    path = f"/api/v1/whoop/range/{user}?from={first}&to={members.newest}"
    status, _, body = server.get(path)
    if status == 404:
        return False
    if status != 200:
        raise BenchError(f"{path} returned status {status}: {body[:500]!r}")
    days = json.loads(body)["days"]
    if len(days) != members.span or any(day["recovery_score"] is None for day in days):
        raise BenchError(f"{path} returned {len(days)} days instead of {members.span}, or days without a recovery")
    return True
