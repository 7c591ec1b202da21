"""Generates the members, and selects those that the load requests."""

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
FIRST_USER_NUMBER = 10_000_001
# Older than yesterday in every time zone, so that a request for it never calls WHOOP.
NEWEST_AGE = timedelta(days=4)


def user_id(number):
    return f"{FIRST_USER_NUMBER + number - 1}-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class MemberGroup:
    """A number of members from number `first` on, and the number of days that are requested of each."""

    first: int
    members: int
    days: int


class Members:
    def __init__(self, members, days, veterans, veteran_days):
        self.all_members = MemberGroup(1, members, days)
        self.veterans = MemberGroup(members + 1, veterans, veteran_days)
        # The same number as the veterans, so that both groups use the caches equally.
        self.young = MemberGroup(1, veterans, days)
        self.newest = datetime.now(UTC).date() - NEWEST_AGE

    def load(self, postgres):
        variables = {
            "members": self.all_members.members,
            "days": self.all_members.days,
            "veterans": self.veterans.members,
            "veteran_days": self.veterans.days,
            "last": self.newest,
        }
        flags = [f"--set={name}={value}" for name, value in variables.items()]

        def execute(file):
            # The role `replica` skips the checks of foreign keys, which take a third of the time.
            postgres.psql("-c", "SET session_replication_role = replica", "--single-transaction", *flags, "-f", SQL / file)

        for file in ("0_helpers.sql", "1_members.sql"):
            execute(file)
        with ThreadPoolExecutor(2) as executor:
            list(executor.map(execute, ["2_sleep.sql", "2_workout.sql", "2_cycle.sql", "2_recovery.sql"]))
        postgres.psql("-f", SQL / "3_vacuum.sql")
        tables = ("cycle", "recovery", "sleep", "workout")
        counts = ", ".join(f"(SELECT count(*) FROM whoop_{table})" for table in tables)
        counts = postgres.psql("-c", f"SELECT {counts}").split("|")
        size = postgres.psql("-c", "SELECT pg_database_size('bench') / 1048576")
        return {"rows": dict(zip(tables, map(int, counts))), "database_mb": int(size)}

    def statement(self, folder):
        """The pgbench script for these members."""
        text = (SQL / "day.pgbench.in").read_text()
        for name, value in (
            ("members", self.all_members.members), ("days", self.all_members.days), ("last", self.newest)
        ):
            text = text.replace(f"@{name}@", str(value))
        script = folder / "day.pgbench"
        script.write_text(text)
        return script

    def tokens(self, folder, secret):
        """Writes a file with one JWT per line, one for each member."""
        file = folder / "tokens"
        lines = (jwt(user_id(number), secret) for number in range(1, self.all_members.members + 1))
        file.write_text("\n".join(lines) + "\n")
        return file

    def sample(self, random, count):
        """Yields random members and dates, with the same distribution as the load."""
        group = self.all_members
        for _ in range(count):
            member = group.first + random.randrange(group.members)
            yield user_id(member), self.newest - timedelta(days=random.randrange(group.days))

    @property
    def newest_seconds(self):
        return int(datetime.combine(self.newest, datetime.min.time(), UTC).timestamp())

    @property
    def span(self):
        """The number of dates in a range of a year."""
        return min(365, self.all_members.days)

    @property
    def oldest_of_year(self):
        return self.newest - timedelta(days=self.span - 1)


def jwt(subject, secret):
    def encode_part(content):
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    claims = {"sub": subject, "aud": "authenticated", "role": "authenticated", "exp": int(time.time()) + 86_400}
    message = encode_part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + b"." + encode_part(json.dumps(claims).encode())
    return (message + b"." + encode_part(hmac.digest(secret.encode(), message, hashlib.sha256))).decode()
