-- Counts the calls for the app requests of each member, so that one member cannot use up the quota of all members.
ALTER TABLE whoop_users
    ADD COLUMN interactive_calls INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN interactive_calls_since TIMESTAMPTZ;

COMMENT ON COLUMN whoop_users.interactive_calls IS 'Calls for app requests since interactive_calls_since.';
COMMENT ON COLUMN whoop_users.interactive_calls_since IS 'Start of the 24 hours in which interactive_calls are counted.';
