DROP TABLE whoop_record_denial;
ALTER TABLE whoop_sync_log DROP COLUMN list_end_oldest, DROP COLUMN list_end_seen_at;
COMMENT ON COLUMN whoop_sync_log.whole_history IS 'WHOOP has nothing older than covered_from.';
