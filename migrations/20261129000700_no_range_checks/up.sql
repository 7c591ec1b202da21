-- A figure outside its usual range is stored as WHOOP sends it: a range check used to cost the
-- whole record. The only check that remains is that `extra` is an object.

DO $$
DECLARE
    found RECORD;
BEGIN
    FOR found IN
        SELECT c.conrelid::regclass AS relation, c.conname
        FROM pg_constraint c
        WHERE c.contype = 'c' AND c.conname NOT LIKE '%\_extra\_check'
          AND c.conrelid IN ('public.whoop_cycle'::regclass, 'public.whoop_recovery'::regclass,
                             'public.whoop_sleep'::regclass, 'public.whoop_workout'::regclass)
        ORDER BY c.conrelid, c.conname
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.relation, found.conname);
    END LOOP;
END
$$;

-- A record that is set aside is one row, whatever text it had: a running cycle has another one at
-- every read.
DELETE FROM whoop_rejected_record old
USING whoop_rejected_record newer
WHERE newer.user_id = old.user_id AND newer.data_type = old.data_type
  AND newer.record_id = old.record_id
  AND (newer.last_seen_at, newer.raw_hash) > (old.last_seen_at, old.raw_hash);

UPDATE whoop_rejected_record SET raw_hash = sha256(convert_to(record_id, 'UTF8'))
WHERE record_id IS NOT NULL;

COMMENT ON COLUMN whoop_rejected_record.raw_hash IS 'SHA-256 of the record''s id, or of its text if the id is unreadable.';
