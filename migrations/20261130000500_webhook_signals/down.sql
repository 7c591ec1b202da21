DROP INDEX whoop_webhook_event_pending_idx;
CREATE INDEX whoop_webhook_event_unread_idx ON whoop_webhook_event (whoop_user_id) WHERE state IN ('pending', 'dead');
ALTER TABLE whoop_sync_log
    DROP COLUMN signal_open,
    DROP COLUMN signal_at,
    DROP COLUMN signal_read_at,
    DROP COLUMN last_sync_from;
