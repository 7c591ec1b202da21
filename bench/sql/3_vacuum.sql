-- Deletes the helpers, and brings the database into the state of one without recent writes.
DROP TABLE bench_night;
DROP FUNCTION bench_user(INTEGER), bench_offset(INTEGER), bench_midnight(DATE, INTEGER),
              bench_number(DOUBLE PRECISION, DOUBLE PRECISION), bench_whole(DOUBLE PRECISION, DOUBLE PRECISION);
VACUUM ANALYZE;
CHECKPOINT;
