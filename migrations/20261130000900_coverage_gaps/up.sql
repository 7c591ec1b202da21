-- After an absence of more than three weeks the newest days are read first, and the backfill reads the
-- time before them. Until it has, these columns store the older span. A process of the previous version
-- does not know them: it reads the time before covered_from once more, but treats no time as covered
-- that was not read.
ALTER TABLE whoop_sync_log
    ADD COLUMN earlier_from TIMESTAMPTZ,
    ADD COLUMN earlier_until TIMESTAMPTZ;

COMMENT ON COLUMN whoop_sync_log.earlier_from IS 'Start of an older span that is stored completely; the backfill reads the gap between earlier_until and covered_from. Null without a gap.';
COMMENT ON COLUMN whoop_sync_log.earlier_until IS 'End of the older span.';
