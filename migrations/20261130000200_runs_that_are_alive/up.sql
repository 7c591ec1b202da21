-- The process of a run extends this time until it ends, so that a killed run is detected within
-- minutes.
ALTER TABLE whoop_sync_run ADD COLUMN alive_until TIMESTAMPTZ;

COMMENT ON COLUMN whoop_sync_run.alive_until IS 'A running run whose time is over was killed; null if an older version began it.';
