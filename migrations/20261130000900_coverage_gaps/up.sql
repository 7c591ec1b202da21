-- After an absence of more than three weeks the newest days are read first, and the backfill reads the
-- time before them. The older span stays known meanwhile. Processes of the former version do not
-- see it: they read the time before covered_from once more, and call nothing covered that was not read.
ALTER TABLE whoop_sync_log
    ADD COLUMN earlier_from TIMESTAMPTZ,
    ADD COLUMN earlier_until TIMESTAMPTZ;

COMMENT ON COLUMN whoop_sync_log.earlier_from IS 'Start of an older span that is stored completely; the backfill reads the gap between earlier_until and covered_from. Null without a gap.';
COMMENT ON COLUMN whoop_sync_log.earlier_until IS 'End of the older span.';
