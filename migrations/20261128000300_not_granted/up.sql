-- A member may grant access to some of the four data types at WHOOP and not to others. A data type
-- without access is not read. It counts neither as failed nor as late.
ALTER TABLE whoop_sync_log
    DROP CONSTRAINT whoop_sync_log_sync_status_check,
    ADD CONSTRAINT whoop_sync_log_sync_status_check
        CHECK (sync_status IN ('success', 'failed', 'running', 'never', 'not_granted'));

INSERT INTO whoop_sync_log AS known (user_id, data_type, sync_status)
SELECT t.user_id, one.data_type, 'not_granted'
FROM whoop_tokens t
CROSS JOIN (VALUES ('recovery', 'read:recovery'), ('sleep', 'read:sleep'),
                   ('workout', 'read:workout'), ('cycle', 'read:cycles')) one (data_type, scope)
WHERE one.scope <> ALL (string_to_array(t.scope, ' '))
ON CONFLICT (user_id, data_type) DO UPDATE
SET sync_status = 'not_granted', last_error = NULL, last_error_at = NULL;
