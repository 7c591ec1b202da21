CREATE TABLE whoop_sync_log (
    user_id TEXT NOT NULL,
    data_type TEXT NOT NULL,
    sync_status TEXT NOT NULL DEFAULT 'never',
    last_sync_at TIMESTAMPTZ,
    last_attempt_at TIMESTAMPTZ,
    records_synced BIGINT NOT NULL DEFAULT 0,
    covered_from TIMESTAMPTZ,
    covered_until TIMESTAMPTZ,
    whole_history BOOLEAN NOT NULL DEFAULT FALSE,
    last_error TEXT,
    last_error_at TIMESTAMPTZ,
    CONSTRAINT whoop_sync_log_pkey PRIMARY KEY (user_id, data_type),
    CONSTRAINT whoop_sync_log_user_id_fkey FOREIGN KEY (user_id) REFERENCES whoop_users (user_id) ON DELETE CASCADE,
    CONSTRAINT whoop_sync_log_data_type_check CHECK (data_type IN ('recovery', 'sleep', 'workout', 'cycle')),
    CONSTRAINT whoop_sync_log_sync_status_check CHECK (sync_status IN ('success', 'failed', 'running', 'never')),
    CONSTRAINT whoop_sync_log_records_synced_check CHECK (records_synced >= 0),
    CONSTRAINT whoop_sync_log_covered_check CHECK (covered_from <= covered_until),
    CONSTRAINT whoop_sync_log_covered_ends_check CHECK ((covered_from IS NULL) = (covered_until IS NULL))
);

COMMENT ON TABLE whoop_sync_log IS 'What has been read of each member, by type; moves only in the transaction that stores what was read.';
COMMENT ON COLUMN whoop_sync_log.last_sync_at IS 'The present of the last window that was stored whole.';
COMMENT ON COLUMN whoop_sync_log.records_synced IS 'Records ever written.';
COMMENT ON COLUMN whoop_sync_log.covered_from IS 'Everything WHOOP had from here to covered_until is stored.';
COMMENT ON COLUMN whoop_sync_log.whole_history IS 'WHOOP has nothing older than covered_from.';
COMMENT ON COLUMN whoop_sync_log.last_error IS 'Why the last attempt failed, or what it had to set aside, for people; null where all went well.';

CREATE TABLE whoop_sync_run (
    id UUID NOT NULL DEFAULT gen_random_uuid(),
    slot TEXT,
    trigger TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'running',
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    members BIGINT NOT NULL DEFAULT 0,
    calls BIGINT NOT NULL DEFAULT 0,
    records BIGINT NOT NULL DEFAULT 0,
    failures BIGINT NOT NULL DEFAULT 0,
    detail TEXT,
    CONSTRAINT whoop_sync_run_pkey PRIMARY KEY (id),
    CONSTRAINT whoop_sync_run_slot_check CHECK (slot IN ('morning', 'afternoon', 'evening', 'night')),
    CONSTRAINT whoop_sync_run_trigger_check CHECK (trigger IN ('scheduled', 'manual')),
    CONSTRAINT whoop_sync_run_status_check CHECK (status IN ('running', 'success', 'failed', 'deferred', 'stopped')),
    CONSTRAINT whoop_sync_run_finished_at_check CHECK (finished_at >= started_at)
);

CREATE INDEX whoop_sync_run_started_at_idx ON whoop_sync_run (started_at);

COMMENT ON TABLE whoop_sync_run IS 'One row a run of sync-worker.';
COMMENT ON COLUMN whoop_sync_run.calls IS 'Calls made to WHOOP.';
COMMENT ON COLUMN whoop_sync_run.records IS 'Records written.';
COMMENT ON COLUMN whoop_sync_run.failures IS 'Members whose sync failed.';

CREATE TABLE whoop_rejected_record (
    user_id TEXT NOT NULL,
    data_type TEXT NOT NULL,
    raw_hash BYTEA NOT NULL,
    record_id TEXT,
    raw TEXT NOT NULL,
    reason TEXT NOT NULL,
    first_seen_at TIMESTAMPTZ NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL,
    times_seen BIGINT NOT NULL DEFAULT 1,
    CONSTRAINT whoop_rejected_record_pkey PRIMARY KEY (user_id, data_type, raw_hash),
    CONSTRAINT whoop_rejected_record_user_id_fkey FOREIGN KEY (user_id) REFERENCES whoop_users (user_id) ON DELETE CASCADE,
    CONSTRAINT whoop_rejected_record_data_type_check CHECK (data_type IN ('recovery', 'sleep', 'workout', 'cycle'))
);

COMMENT ON TABLE whoop_rejected_record IS 'Records of WHOOP that could not be read, with the reason; gone once WHOOP sends a version that can.';
COMMENT ON COLUMN whoop_rejected_record.raw IS 'The record as WHOOP sent it.';
COMMENT ON COLUMN whoop_rejected_record.raw_hash IS 'SHA-256 of raw: the same broken record is kept once.';
