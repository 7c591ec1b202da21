"""Before anything is measured: do both sides say the same?"""

import json
import random
from datetime import datetime

from .trouble import Trouble

DAYS = 300


def same_answers(ours, theirs, members):
    """Compares days of both; what they know of the connection aside."""
    parts = dict.fromkeys(("recovery", "sleep", "naps", "cycle", "workouts"), 0)
    for user, date in members.sample(random.Random(7), DAYS):
        (our_status, our_day), (their_status, their_day) = ours.day(user, date), theirs.day(user, date)
        if (our_status, their_status) != (200, 200):
            raise Trouble(f"{date} of {user}: {our_status} here, {their_status} from FastAPI: {our_day}")
        meta = our_day.pop("meta")
        their_day.pop("meta")
        if (meta["source"], meta["sync"]) != ("database", "not_needed"):
            raise Trouble(f"{date} of {user} is not answered from the database alone: {meta}")
        if plain(our_day) != plain(their_day):
            raise Trouble(f"{date} of {user} differs:\n{our_day}\n{their_day}")
        for part in parts:
            parts[part] += bool(our_day[part])
    if parts["sleep"] != DAYS or not parts["naps"] or not parts["workouts"]:
        raise Trouble(f"the made-up days are not as they should be: {parts}")
    for server in (ours, theirs):
        status, _, _ = server.get("/api/v1/whoop/daily-data/x?date=2025-01-01", Authorization="Bearer wrong")
        if status != 401:
            raise Trouble(f"{server.name} answers a wrong key with {status}")


def plain(value):
    """Instants as instants: `.000Z` and `Z` are one."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, str) and value.endswith("Z") and "T" in value:
        return datetime.fromisoformat(value)
    return value


def whoop_was_asked(postgres):
    """Whether a call to WHOOP was written down, made or not."""
    return postgres.psql("-c", "SELECT count(*) FROM whoop_call_budget") != "0"


def etags(server, members, folder):
    """A file of days with their ETags, or `None` where there are none."""
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
    """Whether the route is there, and a year is one row a date."""
    user, _ = next(members.sample(random.Random(17), 1))
    first = members.oldest_of_year
    path = f"/api/v1/whoop/range/{user}?from={first}&to={members.newest}"
    status, _, body = server.get(path)
    if status == 404:
        return False
    if status != 200:
        raise Trouble(f"{path} is answered with {status}: {body[:500]!r}")
    days = json.loads(body)["days"]
    if len(days) != members.span or any(day["recovery_score"] is None for day in days):
        raise Trouble(f"{path} gives {len(days)} days, or days without a recovery")
    return True
