-- A sync that is deferred because of the quota is no failure, and does not end one: a data type that
-- fails is reported as failing until one of its syncs succeeds.
ALTER TABLE whoop_sync_log ADD COLUMN failing_since TIMESTAMPTZ;

COMMENT ON COLUMN whoop_sync_log.failing_since IS
    'The first of the failures after which no sync of this type ended well; null where the last one did.';

UPDATE whoop_sync_log SET failing_since = last_error_at WHERE sync_status = 'failed';
