DROP TABLE whoop_rejected_record;
DROP TABLE whoop_sync_run;
DROP TABLE whoop_sync_log;
