-- One cycle per night, which ends when the next one begins.
SELECT setseed(0.1);

INSERT INTO whoop_cycle (user_id, id, local_date, timezone_offset, score_state, created_at, updated_at, synced_at,
                         start_time, end_time, day_strain, kilojoule, average_heart_rate, max_heart_rate, step_count)
SELECT user_id, cycle_id, local_date, timezone_offset, 'SCORED', woke_at, ended_at, ended_at,
       asleep_at, ended_at, bench_number(4, 19), bench_number(7000, 15000), bench_whole(55, 85), bench_whole(120, 190),
       bench_whole(2000, 18000)
FROM (SELECT *, coalesce(lead(asleep_at) OVER (PARTITION BY n ORDER BY d DESC), asleep_at + INTERVAL '1 day') AS ended_at
      FROM bench_night) AS nights
ORDER BY d DESC, n;
