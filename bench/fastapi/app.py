"""Serves a member's day with Python, as an experienced team would implement it.

It uses FastAPI, asyncpg and orjson, with four queries, one for each data type. It omits
everything optional that costs time: no response model, no thread pool, no reset of database
connections, whose sessions are never changed, and no access log.

Set DATABASE_URL and AUTH_SERVICE_KEYS (SHA-256 hex digests, comma-separated).
"""

import hashlib
import hmac
import math
import os
from contextlib import asynccontextmanager
from datetime import date
from typing import Annotated

import asyncpg
import orjson
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response

POOL_SIZE = int(os.environ.get("DATABASE_POOL_SIZE", "8"))
SERVICE_KEYS = [key.strip() for key in os.environ["AUTH_SERVICE_KEYS"].split(",")]
KILOJOULE_PER_KCAL = 4.184

RECOVERY = """
    SELECT cycle_id, sleep_id, score_state, recovery_score, hrv_rmssd_milli, resting_heart_rate,
           spo2_percentage, skin_temp_celsius, user_calibrating
    FROM whoop_recovery WHERE user_id = $1 AND local_date = $2
"""
SLEEP = """
    SELECT id, cycle_id, score_state, start_time, end_time, timezone_offset, nap,
           total_light_sleep_time_milli, total_slow_wave_sleep_time_milli, total_rem_sleep_time_milli,
           total_awake_time_milli, total_sleep_time_milli,
           baseline_milli + need_from_sleep_debt_milli + need_from_recent_strain_milli
               + need_from_recent_nap_milli AS need_milli,
           respiratory_rate, sleep_performance_percentage, sleep_consistency_percentage,
           sleep_efficiency_percentage
    FROM whoop_sleep WHERE user_id = $1 AND local_date = $2 ORDER BY start_time, id
"""
CYCLE = """
    SELECT id, score_state, start_time, end_time, day_strain, kilojoule, average_heart_rate,
           max_heart_rate, step_count
    FROM whoop_cycle WHERE user_id = $1 AND local_date = $2 ORDER BY start_time, id
"""
WORKOUT = """
    SELECT id, score_state, sport_name, start_time, end_time, strain_score, kilojoule,
           average_heart_rate, max_heart_rate, distance_meter, zone_zero_milli, zone_one_milli,
           zone_two_milli, zone_three_milli, zone_four_milli, zone_five_milli
    FROM whoop_workout WHERE user_id = $1 AND local_date = $2 ORDER BY start_time, id
"""


async def keep_session(_connection):
    """Replaces asyncpg's reset of a connection, because the queries do not change the session."""


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with asyncpg.create_pool(
        os.environ["DATABASE_URL"],
        min_size=POOL_SIZE,
        max_size=POOL_SIZE,
        max_inactive_connection_lifetime=0,
        reset=keep_session,
    ) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan, openapi_url=None)


async def service(authorization: Annotated[str, Header()] = "") -> None:
    scheme, _, key = authorization.partition(" ")
    digest = hashlib.sha256(key.encode()).hexdigest()
    known = any([hmac.compare_digest(digest, one) for one in SERVICE_KEYS])
    if scheme.lower() != "bearer" or not known:
        raise HTTPException(status_code=401, detail="this is not a service key")


def calories(kilojoule):
    return None if kilojoule is None else math.floor(kilojoule / KILOJOULE_PER_KCAL + 0.5)


def duration(milli):
    if milli is None:
        return None
    minutes = milli // 60_000
    return f"{minutes // 60}h {minutes % 60}m"


def recovery_part(row):
    return {
        "score": row["recovery_score"],
        "hrv": row["hrv_rmssd_milli"],
        "rhr": row["resting_heart_rate"],
        "spo2": row["spo2_percentage"],
        "skin_temp": row["skin_temp_celsius"],
        "calibrating": row["user_calibrating"],
        "cycle_id": int(row["cycle_id"]),
        "sleep_id": row["sleep_id"],
        "state": row["score_state"],
    }


def sleep_part(row):
    return {
        "id": row["id"],
        "duration": duration(row["total_sleep_time_milli"]),
        "duration_milli": row["total_sleep_time_milli"],
        "performance": row["sleep_performance_percentage"],
        "efficiency": row["sleep_efficiency_percentage"],
        "consistency": row["sleep_consistency_percentage"],
        "respiratory_rate": row["respiratory_rate"],
        "start": row["start_time"],
        "end": row["end_time"],
        "timezone_offset": row["timezone_offset"],
        "stages": {
            "light_milli": row["total_light_sleep_time_milli"],
            "slow_wave_milli": row["total_slow_wave_sleep_time_milli"],
            "rem_milli": row["total_rem_sleep_time_milli"],
            "awake_milli": row["total_awake_time_milli"],
        },
        "need_milli": row["need_milli"],
        "state": row["score_state"],
    }


def cycle_part(row):
    return {
        "id": int(row["id"]),
        "strain": row["day_strain"],
        "calories": calories(row["kilojoule"]),
        "kilojoule": row["kilojoule"],
        "average_heart_rate": row["average_heart_rate"],
        "max_heart_rate": row["max_heart_rate"],
        "steps": row["step_count"],
        "start": row["start_time"],
        "end": row["end_time"],
        "state": row["score_state"],
    }


def workout_part(row):
    return {
        "id": row["id"],
        "sport": row["sport_name"],
        "strain": row["strain_score"],
        "calories": calories(row["kilojoule"]),
        "start": row["start_time"],
        "end": row["end_time"],
        "average_heart_rate": row["average_heart_rate"],
        "max_heart_rate": row["max_heart_rate"],
        "distance_meter": row["distance_meter"],
        "zones_milli": [
            row["zone_zero_milli"],
            row["zone_one_milli"],
            row["zone_two_milli"],
            row["zone_three_milli"],
            row["zone_four_milli"],
            row["zone_five_milli"],
        ],
        "state": row["score_state"],
    }


def time_asleep(row):
    return (row["total_sleep_time_milli"] or 0, row["start_time"], row["id"])


def compose(user_id, day, recoveries, sleeps, cycles, workouts):
    """Selects the main sleep with the most time asleep, and its recovery and cycle."""
    night = max((row for row in sleeps if not row["nap"]), key=time_asleep, default=None)
    if night is not None:
        recoveries = [row for row in recoveries if row["sleep_id"] == night["id"]]
        cycles = [row for row in cycles if row["id"] == night["cycle_id"]]
    parts = {
        "recovery": recovery_part(recoveries[-1]) if recoveries else None,
        "sleep": sleep_part(night) if night is not None else None,
        "naps": [sleep_part(row) for row in sleeps if row["nap"]],
        "cycle": cycle_part(cycles[-1]) if cycles else None,
        "workouts": [workout_part(row) for row in workouts],
    }
    return {
        "user_id": user_id,
        "date": day,
        **parts,
        "missing": {
            part: "not_recorded" for part in ("recovery", "sleep", "cycle", "workouts") if not parts[part]
        },
        # The other values would need more queries.
        "meta": {
            "source": "database",
            "connection": None,
            "last_synced_at": None,
            "stale": None,
            "sync": "off",
            "detail": None,
        },
    }


@app.get("/api/v1/whoop/daily-data/{user_id}", dependencies=[Depends(service)])
async def daily_data(user_id: str, date: date, request: Request) -> Response:
    async with request.app.state.pool.acquire() as connection:
        # One query after the other: a connection executes one query at a time, and four
        # connections per request would block other requests.
        recoveries = await connection.fetch(RECOVERY, user_id, date)
        sleeps = await connection.fetch(SLEEP, user_id, date)
        cycles = await connection.fetch(CYCLE, user_id, date)
        workouts = await connection.fetch(WORKOUT, user_id, date)
    day = compose(user_id, date, recoveries, sleeps, cycles, workouts)
    body = orjson.dumps(day, option=orjson.OPT_UTC_Z)
    return Response(body, media_type="application/json", headers={"Cache-Control": "private, no-cache"})
