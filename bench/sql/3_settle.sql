-- The benchmark begins from a database that has been at rest.
DROP TABLE bench_night;
DROP FUNCTION bench_user(INTEGER), bench_offset(INTEGER), bench_midnight(DATE, INTEGER),
              bench_number(DOUBLE PRECISION, DOUBLE PRECISION), bench_whole(DOUBLE PRECISION, DOUBLE PRECISION);
VACUUM ANALYZE;
CHECKPOINT;
