"""The made-up members, and who among them is asked for."""

import base64
import hashlib
import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

SQL = Path(__file__).parent.parent / "sql"
FIRST = 10_000_001
# No offset makes it somebody's yesterday: a request for it never has to ask WHOOP.
NEWEST_AGE = timedelta(days=4)


def user_id(number):
    return f"{FIRST + number - 1}-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Crowd:
    """Members with a number from `first` on, and how many days back they are asked for."""

    first: int
    members: int
    days: int


class Members:
    def __init__(self, members, days, veterans, veteran_days):
        self.everybody = Crowd(1, members, days)
        self.veterans = Crowd(members + 1, veterans, veteran_days)
        # As many as there are veterans: the same share of the caches.
        self.young = Crowd(1, veterans, days)
        self.newest = datetime.now(UTC).date() - NEWEST_AGE

    def load(self, postgres):
        variables = {
            "members": self.everybody.members,
            "days": self.everybody.days,
            "veterans": self.veterans.members,
            "veteran_days": self.veterans.days,
            "last": self.newest,
        }
        flags = [f"--set={name}={value}" for name, value in variables.items()]

        def play(file):
            # Whether every row names a member is known here, and takes a third of the time.
            postgres.psql("-c", "SET session_replication_role = replica", "--single-transaction", *flags, "-f", SQL / file)

        for file in ("0_helpers.sql", "1_members.sql"):
            play(file)
        with ThreadPoolExecutor(2) as two:
            list(two.map(play, ["2_sleep.sql", "2_workout.sql", "2_cycle.sql", "2_recovery.sql"]))
        postgres.psql("-f", SQL / "3_settle.sql")
        tables = ("cycle", "recovery", "sleep", "workout")
        counts = ", ".join(f"(SELECT count(*) FROM whoop_{table})" for table in tables)
        counts = postgres.psql("-c", f"SELECT {counts}").split("|")
        size = postgres.psql("-c", "SELECT pg_database_size('bench') / 1048576")
        return {"rows": dict(zip(tables, map(int, counts))), "database_mb": int(size)}

    def statement(self, folder):
        """The pgbench script for these members."""
        text = (SQL / "day.pgbench.in").read_text()
        for name, value in (
            ("members", self.everybody.members), ("days", self.everybody.days), ("last", self.newest)
        ):
            text = text.replace(f"@{name}@", str(value))
        script = folder / "day.pgbench"
        script.write_text(text)
        return script

    def tokens(self, folder, secret):
        """A JWT for each member, one a line."""
        file = folder / "tokens"
        lines = (jwt(user_id(number), secret) for number in range(1, self.everybody.members + 1))
        file.write_text("\n".join(lines) + "\n")
        return file

    def sample(self, random, count):
        """Members' days, as the load asks for them."""
        crowd = self.everybody
        for _ in range(count):
            member = crowd.first + random.randrange(crowd.members)
            yield user_id(member), self.newest - timedelta(days=random.randrange(crowd.days))

    @property
    def newest_seconds(self):
        return int(datetime.combine(self.newest, datetime.min.time(), UTC).timestamp())

    @property
    def span(self):
        """Dates in a range of a year."""
        return min(365, self.everybody.days)

    @property
    def oldest_of_year(self):
        return self.newest - timedelta(days=self.span - 1)


def jwt(subject, secret):
    def part(content):
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    claims = {"sub": subject, "aud": "authenticated", "role": "authenticated", "exp": int(time.time()) + 86_400}
    signed = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.digest(secret.encode(), signed, hashlib.sha256))).decode()
