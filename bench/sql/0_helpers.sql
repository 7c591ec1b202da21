-- Ids and UTC offsets of members. A member's id is as long as a UUID and is computed from a number, so
-- that the load generators can compute the ids of random members.

CREATE FUNCTION bench_user(n INTEGER) RETURNS TEXT LANGUAGE sql IMMUTABLE
AS $$ SELECT (10000000 + n) || '-0000-4000-8000-000000000000' $$;

CREATE FUNCTION bench_offset(n INTEGER) RETURNS TEXT LANGUAGE sql IMMUTABLE
AS $$ SELECT (ARRAY['+00:00', '+01:00', '-05:00', '-08:00', '+05:30'])[1 + n % 5] $$;

CREATE FUNCTION bench_midnight(day DATE, n INTEGER) RETURNS TIMESTAMPTZ LANGUAGE sql IMMUTABLE
AS $$ SELECT (day::TIMESTAMP AT TIME ZONE 'UTC') - (ARRAY[0, 60, -300, -480, 330])[1 + n % 5] * INTERVAL '1 minute' $$;

-- A random number with six decimals, like WHOOP's.
CREATE FUNCTION bench_number(low DOUBLE PRECISION, high DOUBLE PRECISION) RETURNS DOUBLE PRECISION LANGUAGE sql VOLATILE
AS $$ SELECT round((low + random() * (high - low))::NUMERIC, 6)::DOUBLE PRECISION $$;

CREATE FUNCTION bench_whole(low DOUBLE PRECISION, high DOUBLE PRECISION) RETURNS BIGINT LANGUAGE sql VOLATILE
AS $$ SELECT floor(low + random() * (high - low + 1))::BIGINT $$;
