-- A webhook announces that a data type of a member changed. The sync log stores the latest such signal of each data
-- type. A later read of the data type's list up to the present closes the signal, for whatever reason it was read.
ALTER TABLE whoop_sync_log
    ADD COLUMN signal_at TIMESTAMPTZ,
    ADD COLUMN signal_read_at TIMESTAMPTZ,
    ADD COLUMN signal_open BOOLEAN NOT NULL
        GENERATED ALWAYS AS (signal_at IS NOT NULL AND (signal_at <= signal_read_at) IS NOT TRUE) STORED,
    ADD COLUMN last_sync_from TIMESTAMPTZ;

COMMENT ON COLUMN whoop_sync_log.signal_at IS 'Time of the latest webhook about this data type; a microsecond later than the one before at least, so that two machines with different clocks cannot hide one.';
COMMENT ON COLUMN whoop_sync_log.signal_read_at IS 'The value of signal_at when the last read up to the present began.';
COMMENT ON COLUMN whoop_sync_log.signal_open IS 'WHOOP announced a change that was not read yet.';
COMMENT ON COLUMN whoop_sync_log.last_sync_from IS 'Time of the oldest record that the read at last_sync_at showed.';
COMMENT ON COLUMN whoop_webhook_event.looks IS 'Not used any more.';
COMMENT ON COLUMN whoop_users.webhook_at IS 'Not used any more; see whoop_sync_log.signal_at.';

-- Creates the signals of the stored events. A pending or dead event leaves its signal open, because the change was
-- announced and not read.
INSERT INTO whoop_sync_log AS known (user_id, data_type, signal_at, signal_read_at)
SELECT u.user_id, split_part(e.event_type, '.', 1), max(e.received_at),
       CASE WHEN bool_or(e.state IN ('pending', 'dead')) THEN NULL ELSE max(e.received_at) END
FROM whoop_webhook_event e JOIN whoop_users u ON u.whoop_user_id = e.whoop_user_id
WHERE u.status = 'connected'
  AND e.event_type IN ('recovery.updated', 'recovery.deleted', 'sleep.updated', 'sleep.deleted',
                       'workout.updated', 'workout.deleted')
GROUP BY u.user_id, split_part(e.event_type, '.', 1)
ON CONFLICT (user_id, data_type) DO UPDATE
SET signal_at = excluded.signal_at, signal_read_at = excluded.signal_read_at;

DROP INDEX whoop_webhook_event_unread_idx;
CREATE INDEX whoop_webhook_event_pending_idx ON whoop_webhook_event (whoop_user_id) WHERE state = 'pending';
