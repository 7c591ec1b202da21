DROP TABLE whoop_workout;
DROP TABLE whoop_sleep;
DROP TABLE whoop_recovery;
DROP TABLE whoop_cycle;
