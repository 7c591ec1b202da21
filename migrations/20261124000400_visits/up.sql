-- Days on which a member opened the app, of the last 28. If the quota is scarce, the members who are
-- most likely to open the app are synced first.

ALTER TABLE whoop_users ADD COLUMN visit_days INTEGER NOT NULL DEFAULT 0;

COMMENT ON COLUMN whoop_users.visit_days IS 'A bit a day (UTC) of the last 28, the lowest for the day of last_seen_at.';
