ALTER TABLE whoop_users DROP COLUMN visit_days;
