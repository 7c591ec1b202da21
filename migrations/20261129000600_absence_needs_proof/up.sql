-- Until now one 404, one empty page or one page without a next token ended the history of a data
-- type, and one 404 deleted a record. From this migration on, the end of a list counts only after
-- WHOOP has shown it again on another day, and a record is deleted only after two independent denials.

ALTER TABLE whoop_sync_log
    ADD COLUMN list_end_seen_at TIMESTAMPTZ,
    ADD COLUMN list_end_oldest TIMESTAMPTZ;

COMMENT ON COLUMN whoop_sync_log.whole_history IS 'WHOOP has nothing older than covered_from: its list ended there on two days.';
COMMENT ON COLUMN whoop_sync_log.list_end_seen_at IS 'When WHOOP''s list first ended where it ends now; null once that is confirmed on another day.';
COMMENT ON COLUMN whoop_sync_log.list_end_oldest IS 'The oldest record of the list that ended; null if the list was empty.';

-- There is no foreign key, because Citus does not accept one from a new table to a distributed table.
CREATE TABLE whoop_record_denial (
    user_id TEXT NOT NULL,
    data_type TEXT NOT NULL,
    record_id TEXT NOT NULL,
    denied_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT whoop_record_denial_pkey PRIMARY KEY (user_id, data_type, record_id),
    CONSTRAINT whoop_record_denial_data_type_check CHECK (data_type IN ('recovery', 'sleep', 'workout', 'cycle'))
);

COMMENT ON TABLE whoop_record_denial IS 'Stored records that WHOOP answered with 404 once. A second 404 at least an hour later deletes the record.';
COMMENT ON COLUMN whoop_record_denial.denied_at IS 'The first of the 404s without an answer in between.';

DO $$
DECLARE
    reader TEXT;
BEGIN
    ALTER TABLE whoop_record_denial ENABLE ROW LEVEL SECURITY;
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON TABLE whoop_record_denial FROM %I', reader);
    END LOOP;
END
$$;
