-- The quota ledger counts the calls of the WHOOP app, in one row that every process reads and
-- replaces. If another process has replaced the row in the meantime, the process starts again with
-- the new version. No lock is held between reading and replacing.

CREATE TABLE whoop_call_budget (
    id INTEGER NOT NULL DEFAULT 1,
    version BIGINT NOT NULL,
    ledger JSONB NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT whoop_call_budget_pkey PRIMARY KEY (id),
    CONSTRAINT whoop_call_budget_id_check CHECK (id = 1)
)
-- The row is replaced many times a minute. Free space on its page keeps the updates cheap.
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
