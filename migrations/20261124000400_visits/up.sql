-- On which of the last days a member opened the app: where the quota is scarce,
-- the likeliest visitors are read first.

ALTER TABLE whoop_users ADD COLUMN visit_days INTEGER NOT NULL DEFAULT 0;

COMMENT ON COLUMN whoop_users.visit_days IS 'A bit a day (UTC) of the last 28, the lowest for the day of last_seen_at.';
