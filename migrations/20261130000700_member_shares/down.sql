ALTER TABLE whoop_users DROP COLUMN interactive_calls, DROP COLUMN interactive_calls_since;
