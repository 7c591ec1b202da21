-- An interactive caller that waits for a member's lease says so, and background work gives the lease up.
ALTER TABLE whoop_users ADD COLUMN lease_wanted_until TIMESTAMPTZ;

COMMENT ON COLUMN whoop_users.lease_wanted_until IS 'Until then an interactive caller waits for the lease; background work does not take it.';
