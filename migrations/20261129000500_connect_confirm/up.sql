-- Token pairs that WHOOP issued and that belong to no connected member yet.

-- Connects that the app must confirm with the member's JWT (CONNECT_CONFIRM=required).
CREATE TABLE whoop_unconfirmed_connect (
    user_id TEXT NOT NULL,
    word_hash BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    key_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    consent TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    confirm_until TIMESTAMPTZ NOT NULL,
    CONSTRAINT whoop_unconfirmed_connect_pkey PRIMARY KEY (user_id),
    CONSTRAINT whoop_unconfirmed_connect_word_hash_key UNIQUE (word_hash),
    CONSTRAINT whoop_unconfirmed_connect_user_id_check CHECK (char_length(user_id) BETWEEN 1 AND 128)
);

COMMENT ON TABLE whoop_unconfirmed_connect IS 'Connects that the app has to confirm with its member''s JWT, one per member.';
COMMENT ON COLUMN whoop_unconfirmed_connect.word_hash IS 'SHA-256 of the one-time word that confirms it.';
COMMENT ON COLUMN whoop_unconfirmed_connect.sealed IS 'Both tokens, XChaCha20-Poly1305 with the user id as associated data.';
COMMENT ON COLUMN whoop_unconfirmed_connect.key_id IS 'Which key of TOKEN_KEYS sealed them.';
COMMENT ON COLUMN whoop_unconfirmed_connect.expires_at IS 'When the access token ends.';
COMMENT ON COLUMN whoop_unconfirmed_connect.confirm_until IS 'After this the permission is revoked at WHOOP.';

-- The token pair of a connect in progress is kept in `whoop_revocation` until it is stored for its
-- member. If the process is killed or the connect fails, the permission becomes due and is revoked.
ALTER TABLE whoop_revocation ADD COLUMN held_until TIMESTAMPTZ;

COMMENT ON TABLE whoop_revocation IS 'Permissions to be ended at WHOOP: of members who left, and of connects that were not stored. Does not say whose.';
COMMENT ON COLUMN whoop_revocation.held_until IS 'The pair of a connect under way; not revoked before.';

DO $$
DECLARE
    reader TEXT;
BEGIN
    ALTER TABLE whoop_unconfirmed_connect ENABLE ROW LEVEL SECURITY;
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON TABLE whoop_unconfirmed_connect FROM %I', reader);
    END LOOP;
END
$$;
