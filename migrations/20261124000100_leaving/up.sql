-- Tables for ending connections. `whoop_refresh` shows which refreshes were interrupted.
-- `whoop_revocation` keeps the permissions that could not be revoked at WHOOP yet, so that they are
-- revoked later. `whoop_erasure` keeps a receipt of each erasure, which does not name the member.

CREATE TABLE whoop_refresh (
    user_id TEXT NOT NULL,
    begun_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT whoop_refresh_pkey PRIMARY KEY (user_id),
    CONSTRAINT whoop_refresh_user_id_fkey FOREIGN KEY (user_id) REFERENCES whoop_users (user_id) ON DELETE CASCADE
);

COMMENT ON TABLE whoop_refresh IS 'Refreshes under way; one that stays was cut off, and WHOOP may have replaced the pair.';

CREATE TABLE whoop_revocation (
    id UUID NOT NULL,
    sealed BYTEA NOT NULL,
    key_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TIMESTAMPTZ NOT NULL,
    last_error TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT whoop_revocation_pkey PRIMARY KEY (id)
);

CREATE INDEX whoop_revocation_next_attempt_at_idx ON whoop_revocation (next_attempt_at);

COMMENT ON TABLE whoop_revocation IS 'Permissions of members who left, still to be ended at WHOOP. Says not whose.';
COMMENT ON COLUMN whoop_revocation.sealed IS 'Both tokens, XChaCha20-Poly1305 with this id as associated data.';
COMMENT ON COLUMN whoop_revocation.key_id IS 'Which key of TOKEN_KEYS sealed them.';
COMMENT ON COLUMN whoop_revocation.next_attempt_at IS 'Whoever moves this on has the right to try.';

CREATE TABLE whoop_erasure (
    id UUID NOT NULL,
    erased_at TIMESTAMPTZ NOT NULL,
    deleted_rows BIGINT NOT NULL,
    CONSTRAINT whoop_erasure_pkey PRIMARY KEY (id),
    CONSTRAINT whoop_erasure_deleted_rows_check CHECK (deleted_rows >= 0)
);

COMMENT ON TABLE whoop_erasure IS 'Receipts: that a member''s data was deleted, and when. Says not whose.';
COMMENT ON COLUMN whoop_erasure.deleted_rows IS 'Rows that were deleted, in all tables together.';

DO $$
DECLARE
    reader TEXT;
BEGIN
    ALTER TABLE whoop_refresh ENABLE ROW LEVEL SECURITY;
    ALTER TABLE whoop_revocation ENABLE ROW LEVEL SECURITY;
    ALTER TABLE whoop_erasure ENABLE ROW LEVEL SECURITY;
    -- Supabase grants everything on a new table by default.
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON TABLE whoop_refresh, whoop_revocation, whoop_erasure FROM %I', reader);
    END LOOP;
END
$$;
