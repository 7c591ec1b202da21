-- One main sleep per night, and a nap on every tenth day.
SELECT setseed(0.3);

INSERT INTO whoop_sleep (user_id, id, local_date, timezone_offset, score_state, created_at, updated_at, synced_at,
                         cycle_id, start_time, end_time, nap, total_in_bed_time_milli, total_awake_time_milli,
                         total_no_data_time_milli, total_light_sleep_time_milli, total_slow_wave_sleep_time_milli,
                         total_rem_sleep_time_milli, sleep_cycle_count, disturbance_count, baseline_milli,
                         need_from_sleep_debt_milli, need_from_recent_strain_milli, need_from_recent_nap_milli,
                         respiratory_rate, sleep_performance_percentage, sleep_consistency_percentage,
                         sleep_efficiency_percentage)
SELECT user_id, id, local_date, timezone_offset, 'SCORED', woke_at, woke_at, woke_at,
       cycle_id, asleep_at, woke_at, nap, in_bed, floor(in_bed * 0.08), 0, floor(in_bed * 0.46), floor(in_bed * 0.2),
       floor(in_bed * 0.26), bench_whole(2, 6), bench_whole(1, 20), 27000000, bench_whole(0, 3000000),
       bench_whole(0, 2000000), CASE WHEN nap THEN 0 ELSE -bench_whole(0, 900000) END,
       bench_number(12, 18), bench_whole(50, 100), bench_whole(50, 100), bench_number(80, 99)
FROM (SELECT n, d, user_id, sleep_id AS id, local_date, timezone_offset, cycle_id, asleep_at, woke_at, FALSE AS nap,
             floor(extract(epoch FROM woke_at - asleep_at) * 1000) AS in_bed
      FROM bench_night
      UNION ALL
      SELECT n, d, user_id, md5('nap ' || n || ' ' || d)::UUID::TEXT, local_date, timezone_offset, cycle_id,
             woke_at + INTERVAL '6 hours', woke_at + INTERVAL '6 hours 40 minutes', TRUE, 2400000
      FROM bench_night WHERE hashint4(n * 10007 + d) % 10 = 0) AS sleeps
ORDER BY d DESC, n, nap;
