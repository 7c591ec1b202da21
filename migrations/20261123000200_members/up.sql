CREATE TABLE whoop_users (
    user_id TEXT NOT NULL,
    whoop_user_id BIGINT NOT NULL,
    status TEXT NOT NULL,
    status_detail TEXT,
    email TEXT,
    first_name TEXT,
    last_name TEXT,
    height_meter DOUBLE PRECISION,
    weight_kilogram DOUBLE PRECISION,
    max_heart_rate DOUBLE PRECISION,
    consent TEXT,
    consented_at TIMESTAMPTZ,
    connected_at TIMESTAMPTZ NOT NULL,
    disconnected_at TIMESTAMPTZ,
    last_seen_at TIMESTAMPTZ,
    timezone_offset TEXT,
    timezone_offset_at TIMESTAMPTZ,
    lease_holder TEXT,
    lease_until TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT whoop_users_pkey PRIMARY KEY (user_id),
    CONSTRAINT whoop_users_user_id_check CHECK (char_length(user_id) BETWEEN 1 AND 128),
    CONSTRAINT whoop_users_status_check CHECK (status IN ('connected', 'reauth_required', 'disconnected'))
);

-- Not unique, because two members of the app may use the same WHOOP account.
CREATE INDEX whoop_users_whoop_user_id_idx ON whoop_users (whoop_user_id);

COMMENT ON TABLE whoop_users IS 'Members of the app who connected WHOOP, with their WHOOP profile.';
COMMENT ON COLUMN whoop_users.user_id IS 'The app''s own id of the member; with Supabase the auth user''s UUID.';
COMMENT ON COLUMN whoop_users.whoop_user_id IS 'WHOOP''s number of the member.';
COMMENT ON COLUMN whoop_users.status_detail IS 'Why the connection is not as it should be, for people.';
COMMENT ON COLUMN whoop_users.consent IS 'What the member agreed to, as the app named it when connecting.';
COMMENT ON COLUMN whoop_users.last_seen_at IS 'When the app last asked for this member.';
COMMENT ON COLUMN whoop_users.timezone_offset IS 'The offset of the member''s latest record; tells which date is today.';
COMMENT ON COLUMN whoop_users.timezone_offset_at IS 'When that record began.';
COMMENT ON COLUMN whoop_users.lease_holder IS 'Who is syncing this member now.';
COMMENT ON COLUMN whoop_users.lease_until IS 'When that lease ends by itself, should its holder be gone.';

CREATE TABLE whoop_tokens (
    user_id TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    key_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    refreshed_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT whoop_tokens_pkey PRIMARY KEY (user_id),
    CONSTRAINT whoop_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES whoop_users (user_id) ON DELETE CASCADE
);

COMMENT ON TABLE whoop_tokens IS 'Each member''s WHOOP tokens, sealed with a key that is not in the database.';
COMMENT ON COLUMN whoop_tokens.sealed IS 'Both tokens, XChaCha20-Poly1305 with the member''s id as associated data.';
COMMENT ON COLUMN whoop_tokens.key_id IS 'Which key of TOKEN_KEYS sealed them.';
COMMENT ON COLUMN whoop_tokens.scope IS 'What the member granted, asked for again at every refresh.';
COMMENT ON COLUMN whoop_tokens.expires_at IS 'When the access token ends.';

CREATE TABLE whoop_oauth_states (
    state_hash BYTEA NOT NULL,
    user_id TEXT NOT NULL,
    return_to TEXT,
    consent TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at TIMESTAMPTZ,
    CONSTRAINT whoop_oauth_states_pkey PRIMARY KEY (state_hash),
    CONSTRAINT whoop_oauth_states_user_id_check CHECK (char_length(user_id) BETWEEN 1 AND 128)
);

CREATE INDEX whoop_oauth_states_expires_at_idx ON whoop_oauth_states (expires_at);

COMMENT ON TABLE whoop_oauth_states IS 'Connects under way: who asked, by the SHA-256 of the state that WHOOP will send back.';
COMMENT ON COLUMN whoop_oauth_states.used_at IS 'Set by the one callback that this state allows.';
