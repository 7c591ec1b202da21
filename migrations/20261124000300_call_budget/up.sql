-- What the app has spent of WHOOP's quota, in one row that every process reads
-- and replaces: whoever replaces a version that is not there any more starts
-- again. No lock is held while anybody thinks.

CREATE TABLE whoop_call_budget (
    id INTEGER NOT NULL DEFAULT 1,
    version BIGINT NOT NULL,
    ledger JSONB NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT whoop_call_budget_pkey PRIMARY KEY (id),
    CONSTRAINT whoop_call_budget_id_check CHECK (id = 1)
)
-- Replaced many times a minute: room on the page keeps that cheap.
WITH (fillfactor = 20);

COMMENT ON TABLE whoop_call_budget IS 'Calls to WHOOP of the last two minutes and the last day, all processes together. One row.';
COMMENT ON COLUMN whoop_call_budget.version IS 'Counts the replacements.';
COMMENT ON COLUMN whoop_call_budget.ledger IS 'What whoop-core''s budget module reads and writes.';

DO $$
DECLARE
    reader TEXT;
BEGIN
    ALTER TABLE whoop_call_budget ENABLE ROW LEVEL SECURITY;
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON whoop_call_budget FROM %I', reader);
    END LOOP;
END
$$;
