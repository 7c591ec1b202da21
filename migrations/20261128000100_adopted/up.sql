-- Members that `sync-worker adopt` has imported from the legacy service. Without this table a second
-- import would restore records that WHOOP has deleted since the first, and members who were erased.

CREATE TABLE whoop_adopted (
    member_digest TEXT NOT NULL,
    adopted_at TIMESTAMPTZ NOT NULL,
    records BIGINT NOT NULL,
    CONSTRAINT whoop_adopted_pkey PRIMARY KEY (member_digest)
);

COMMENT ON TABLE whoop_adopted IS 'Members taken over from an older service, once each; outlives their erasure.';
COMMENT ON COLUMN whoop_adopted.member_digest IS 'SHA-256 of the app''s id of the member, in hex: it says of nobody who they were.';
COMMENT ON COLUMN whoop_adopted.records IS 'Whole records that were taken over.';

DO $$
DECLARE
    reader TEXT;
BEGIN
    ALTER TABLE whoop_adopted ENABLE ROW LEVEL SECURITY;
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON TABLE whoop_adopted FROM %I', reader);
    END LOOP;
END
$$;
