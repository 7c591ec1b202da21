ALTER TABLE whoop_refresh
    DROP COLUMN holder,
    DROP COLUMN claimed_until,
    DROP COLUMN invalid_request_since,
    DROP COLUMN rejected_since;

DELETE FROM whoop_refresh WHERE begun_at IS NULL;
ALTER TABLE whoop_refresh ALTER COLUMN begun_at SET NOT NULL;
COMMENT ON TABLE whoop_refresh IS 'Refreshes under way; one that stays was cut off, and WHOOP may have replaced the pair.';
COMMENT ON COLUMN whoop_refresh.begun_at IS NULL;
