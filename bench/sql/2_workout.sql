-- Seven workouts in ten days: none on five days, one on four days, three on one day.
SELECT setseed(0.4);

INSERT INTO whoop_workout (user_id, id, local_date, timezone_offset, score_state, created_at, updated_at, synced_at,
                           sport_id, sport_name, start_time, end_time, strain_score, kilojoule, average_heart_rate,
                           max_heart_rate, percent_recorded, distance_meter, altitude_gain_meter, altitude_change_meter,
                           zone_zero_milli, zone_one_milli, zone_two_milli, zone_three_milli, zone_four_milli,
                           zone_five_milli)
SELECT user_id, md5('workout ' || n || ' ' || d || ' ' || number)::UUID::TEXT, local_date, timezone_offset, 'SCORED',
       began_at + INTERVAL '1 hour', began_at + INTERVAL '1 hour', began_at + INTERVAL '1 hour',
       0, (ARRAY['running', 'cycling', 'weightlifting', 'walking', 'yoga'])[bench_whole(1, 5)],
       began_at, began_at + INTERVAL '50 minutes', bench_number(3, 17), bench_number(500, 4000), bench_whole(95, 160),
       bench_whole(130, 190), 1, CASE WHEN number = 1 THEN bench_number(1000, 20000) END, bench_number(0, 300),
       bench_number(-20, 20), bench_whole(0, 300000), bench_whole(0, 600000), bench_whole(0, 900000),
       bench_whole(0, 600000), bench_whole(0, 300000), bench_whole(0, 120000)
FROM (SELECT *, woke_at + number * INTERVAL '3 hours' AS began_at
      FROM bench_night,
           LATERAL generate_series(1, (ARRAY[0, 0, 0, 0, 0, 1, 1, 1, 1, 3])[1 + abs(hashint4(n * 7 + d * 31)) % 10]) AS number
     ) AS workouts
ORDER BY d DESC, n, number;
