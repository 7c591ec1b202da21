ALTER TABLE whoop_users DROP COLUMN unidentified_pair, DROP COLUMN first_sync_pending;
