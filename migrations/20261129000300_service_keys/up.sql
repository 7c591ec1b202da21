-- Service keys that an operator creates and revokes while the service runs. The key is printed once
-- and never stored. Only its digest is stored, which gives no access.

CREATE TABLE whoop_service_key (
    digest BYTEA NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ,
    CONSTRAINT whoop_service_key_pkey PRIMARY KEY (digest),
    CONSTRAINT whoop_service_key_digest_check CHECK (octet_length(digest) = 32),
    CONSTRAINT whoop_service_key_name_check CHECK (name ~ '^[a-z0-9._-]{1,64}$'),
    CONSTRAINT whoop_service_key_scopes_check
        CHECK (scopes ~ '^(read|sync|erase|operate)(,(read|sync|erase|operate))*$'),
    CONSTRAINT whoop_service_key_expires_at_check CHECK (expires_at > created_at)
);

-- The row of a revoked key is kept, so that the audit trail remains readable. Its name can be used
-- for a new key.
CREATE UNIQUE INDEX whoop_service_key_name_key ON whoop_service_key (name) WHERE revoked_at IS NULL;

COMMENT ON TABLE whoop_service_key IS 'Service keys of the team''s backends; rows are never deleted.';
COMMENT ON COLUMN whoop_service_key.digest IS 'SHA-256 of the key. The key itself is stored nowhere.';
COMMENT ON COLUMN whoop_service_key.name IS 'Shown in the request log, in metrics and in the audit trail; unique among keys that are not revoked.';
COMMENT ON COLUMN whoop_service_key.scopes IS 'Comma-separated: read, sync, erase, operate.';
COMMENT ON COLUMN whoop_service_key.last_used_at IS 'Last request with this key, recorded at most once a minute.';

DO $$
DECLARE
    reader TEXT;
BEGIN
    ALTER TABLE whoop_service_key ENABLE ROW LEVEL SECURITY;
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON TABLE whoop_service_key FROM %I', reader);
    END LOOP;
END
$$;
