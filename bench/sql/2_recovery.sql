-- One recovery per night.
SELECT setseed(0.2);

INSERT INTO whoop_recovery (user_id, id, local_date, timezone_offset, score_state, created_at, updated_at, synced_at,
                            cycle_id, sleep_id, recovery_score, resting_heart_rate, hrv_rmssd_milli, spo2_percentage,
                            skin_temp_celsius, user_calibrating)
SELECT user_id, cycle_id, local_date, timezone_offset, 'SCORED', woke_at, woke_at, woke_at,
       cycle_id, sleep_id, bench_whole(15, 99), bench_whole(42, 68), bench_number(25, 120), bench_number(93, 99),
       bench_number(32, 35), FALSE
FROM bench_night
ORDER BY d DESC, n;
