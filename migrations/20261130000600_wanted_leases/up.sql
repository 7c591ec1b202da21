-- An interactive caller that waits for the member lease requests it here, and background work releases the lease.
ALTER TABLE whoop_users ADD COLUMN lease_wanted_until TIMESTAMPTZ;

COMMENT ON COLUMN whoop_users.lease_wanted_until IS 'Until then an interactive caller waits for the lease; background work does not take it.';
