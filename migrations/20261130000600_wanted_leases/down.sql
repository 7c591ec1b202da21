ALTER TABLE whoop_users DROP COLUMN lease_wanted_until;
