-- A connection is stored before WHOOP's profile has confirmed its account, so that a connect needs no quota permit.
ALTER TABLE whoop_users
    ADD COLUMN unidentified_pair UUID,
    ADD COLUMN first_sync_pending BOOLEAN NOT NULL DEFAULT FALSE;

COMMENT ON COLUMN whoop_users.unidentified_pair IS 'Id of the stored token pair while WHOOP''s profile has not confirmed its account; no records are read with it before.';
COMMENT ON COLUMN whoop_users.first_sync_pending IS 'The first sync after a connect has not ended yet.';

-- Members of the legacy service whose WHOOP account is unknown.
UPDATE whoop_users SET unidentified_pair = '00000000-0000-0000-0000-000000000001' WHERE whoop_user_id = 0;

CREATE INDEX whoop_users_new ON whoop_users (connected_at)
    WHERE unidentified_pair IS NOT NULL OR first_sync_pending;
