-- The webhook inbox. Each event is stored once, before the service answers WHOOP, and processed by
-- fetching the record that the event names.

CREATE TABLE whoop_webhook_event (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    trace_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    record_id TEXT NOT NULL,
    whoop_user_id BIGINT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    signed_at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    times_received BIGINT NOT NULL DEFAULT 1,
    due_at TIMESTAMPTZ NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    looks INTEGER NOT NULL DEFAULT 0,
    finished_at TIMESTAMPTZ,
    last_error TEXT,
    CONSTRAINT whoop_webhook_event_pkey PRIMARY KEY (id),
    CONSTRAINT whoop_webhook_event_once_key UNIQUE (trace_id, event_type, record_id),
    CONSTRAINT whoop_webhook_event_state_check
        CHECK (state IN ('pending', 'done', 'dead', 'unknown_type', 'unknown_member')),
    CONSTRAINT whoop_webhook_event_finished_at_check CHECK ((finished_at IS NULL) = (state = 'pending'))
);

CREATE INDEX whoop_webhook_event_due_idx ON whoop_webhook_event (due_at) WHERE state = 'pending';
CREATE INDEX whoop_webhook_event_unread_idx ON whoop_webhook_event (whoop_user_id) WHERE state IN ('pending', 'dead');
CREATE INDEX whoop_webhook_event_received_at_idx ON whoop_webhook_event (received_at);

COMMENT ON TABLE whoop_webhook_event IS 'WHOOP''s webhooks, each once; kept for 30 days.';
COMMENT ON COLUMN whoop_webhook_event.event_type IS 'WHOOP''s word: sleep.updated, sleep.deleted, and so for recovery and workout.';
COMMENT ON COLUMN whoop_webhook_event.record_id IS 'WHOOP''s id of the record; of a recovery, that of its sleep.';
COMMENT ON COLUMN whoop_webhook_event.state IS 'pending: to be fetched; done; dead: given up after too many tries; unknown_type, unknown_member: nothing to fetch.';
COMMENT ON COLUMN whoop_webhook_event.signed_at IS 'The time that WHOOP signed.';
COMMENT ON COLUMN whoop_webhook_event.times_received IS 'WHOOP may send an event again; it is worked off once.';
COMMENT ON COLUMN whoop_webhook_event.due_at IS 'Not worked off before.';
COMMENT ON COLUMN whoop_webhook_event.attempts IS 'Tries that failed.';
COMMENT ON COLUMN whoop_webhook_event.looks IS 'How often it was fetched and still waited for its score.';

ALTER TABLE whoop_users ADD COLUMN webhook_at TIMESTAMPTZ;

COMMENT ON COLUMN whoop_users.webhook_at IS 'When the latest webhook of this member came of those that were worked off.';

DO $$
DECLARE
    reader TEXT;
BEGIN
    ALTER TABLE whoop_webhook_event ENABLE ROW LEVEL SECURITY;
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON TABLE whoop_webhook_event FROM %I', reader);
    END LOOP;
END
$$;
