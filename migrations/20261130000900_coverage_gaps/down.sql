ALTER TABLE whoop_sync_log DROP COLUMN earlier_until, DROP COLUMN earlier_from;
