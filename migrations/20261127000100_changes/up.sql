-- The change feed: the changes of each member's records, numbered without gaps. An app that was
-- offline requests the changes after its last sequence number. Only one process at a time writes a
-- member's records, under the row lock of the member, so the latest number is stored in that row.

ALTER TABLE whoop_users ADD COLUMN change_seq BIGINT NOT NULL DEFAULT 0;

COMMENT ON COLUMN whoop_users.change_seq IS 'The number of the latest change of this member; see whoop_change.';

-- All records stored before this migration count as change number 1, which is not kept. An app that
-- requests the changes from the start must therefore read all data first.
UPDATE whoop_users SET change_seq = 1;

CREATE TABLE whoop_change (
    user_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    data_type TEXT NOT NULL,
    record_id TEXT NOT NULL,
    local_date DATE NOT NULL,
    previous_date DATE,
    op TEXT NOT NULL,
    updated_at TIMESTAMPTZ,
    changed_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT whoop_change_pkey PRIMARY KEY (user_id, seq),
    CONSTRAINT whoop_change_user_id_fkey FOREIGN KEY (user_id) REFERENCES whoop_users (user_id) ON DELETE CASCADE,
    CONSTRAINT whoop_change_data_type_check CHECK (data_type IN ('recovery', 'sleep', 'workout', 'cycle')),
    CONSTRAINT whoop_change_op_check CHECK (op IN ('upsert', 'delete')),
    CONSTRAINT whoop_change_seq_check CHECK (seq > 0)
);

CREATE INDEX whoop_change_changed_at_idx ON whoop_change (changed_at);

COMMENT ON TABLE whoop_change IS 'Every change of a member''s records, in their order, without a gap; kept for 30 days.';
COMMENT ON COLUMN whoop_change.seq IS 'Counts the changes of one member from 1.';
COMMENT ON COLUMN whoop_change.local_date IS 'The day the record belongs to after the change; of one that left, the day it belonged to.';
COMMENT ON COLUMN whoop_change.previous_date IS 'The day it belonged to before, where that was another.';
COMMENT ON COLUMN whoop_change.op IS 'upsert: it is new or different; delete: it left.';
COMMENT ON COLUMN whoop_change.updated_at IS 'WHOOP''s: when the record changed there; null where it only left or moved to another day here.';
COMMENT ON COLUMN whoop_change.changed_at IS 'When the change could be read here.';

DO $$
DECLARE
    reader TEXT;
BEGIN
    ALTER TABLE whoop_change ENABLE ROW LEVEL SECURITY;
    CREATE POLICY whoop_change_own_rows ON whoop_change FOR SELECT
        USING (user_id = (SELECT whoop_current_member()));
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON TABLE whoop_change FROM %I', reader);
        IF reader = 'authenticated' THEN
            EXECUTE format('GRANT SELECT ON TABLE whoop_change TO %I', reader);
        END IF;
    END LOOP;
END
$$;
