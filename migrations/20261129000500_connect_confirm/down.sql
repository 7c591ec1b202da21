DROP TABLE whoop_unconfirmed_connect;
ALTER TABLE whoop_revocation DROP COLUMN held_until;
COMMENT ON TABLE whoop_revocation IS 'Permissions of members who left, still to be ended at WHOOP. Says not whose.';
