-- A value outside its usual range is stored as WHOOP sends it. Until now a range check rejected the
-- whole record for one such value. The only check that remains is that `extra` is an object.

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

-- A rejected record has one row, even if its text changes: the text of a running cycle differs at
-- every read. Of several rows for one record the newest is kept.
DELETE FROM whoop_rejected_record old
USING whoop_rejected_record newer
WHERE newer.user_id = old.user_id AND newer.data_type = old.data_type
  AND newer.record_id = old.record_id
  AND (newer.last_seen_at, newer.raw_hash) > (old.last_seen_at, old.raw_hash);

UPDATE whoop_rejected_record SET raw_hash = sha256(convert_to(record_id, 'UTF8'))
WHERE record_id IS NOT NULL;

COMMENT ON COLUMN whoop_rejected_record.raw_hash IS 'SHA-256 of the record''s id, or of its text if the id is unreadable.';
