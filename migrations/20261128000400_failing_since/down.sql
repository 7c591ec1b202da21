ALTER TABLE whoop_sync_log DROP COLUMN failing_since;
