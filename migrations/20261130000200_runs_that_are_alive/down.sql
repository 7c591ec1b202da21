ALTER TABLE whoop_sync_run DROP COLUMN alive_until;
