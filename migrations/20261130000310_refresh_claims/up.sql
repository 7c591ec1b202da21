-- A refresh no longer keeps a transaction open while it waits for WHOOP's answer, because a lost database
-- connection then lost the new token pair. Instead, one process at a time claims the refresh of a member,
-- for one minute.

ALTER TABLE whoop_refresh
    ALTER COLUMN begun_at DROP NOT NULL,
    ADD COLUMN holder TEXT,
    ADD COLUMN claimed_until TIMESTAMPTZ,
    ADD COLUMN invalid_request_since TIMESTAMPTZ,
    ADD COLUMN rejected_since TIMESTAMPTZ;

COMMENT ON TABLE whoop_refresh IS 'Per member: the refresh under way, and since when WHOOP refuses the refresh token or the access token.';
COMMENT ON COLUMN whoop_refresh.begun_at IS 'Start of a refresh whose result is not stored; if it stays, WHOOP may have replaced the pair.';
COMMENT ON COLUMN whoop_refresh.holder IS 'Random id of the refresh that holds the claim.';
COMMENT ON COLUMN whoop_refresh.claimed_until IS 'End of the claim; another process may refresh the member after it.';
COMMENT ON COLUMN whoop_refresh.invalid_request_since IS 'First answer invalid_request of the token endpoint since the last refresh that succeeded.';
COMMENT ON COLUMN whoop_refresh.rejected_since IS 'First time that WHOOP''s API refused an access token that it had just issued.';
