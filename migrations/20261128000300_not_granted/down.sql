UPDATE whoop_sync_log
SET sync_status = CASE WHEN last_sync_at IS NULL THEN 'never' ELSE 'success' END
WHERE sync_status = 'not_granted';

ALTER TABLE whoop_sync_log
    DROP CONSTRAINT whoop_sync_log_sync_status_check,
    ADD CONSTRAINT whoop_sync_log_sync_status_check
        CHECK (sync_status IN ('success', 'failed', 'running', 'never'));
