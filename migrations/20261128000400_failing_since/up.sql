-- What the quota puts off is no failure, and it does not end one either: a type that
-- fails goes on to say so until a sync of it ends well.
ALTER TABLE whoop_sync_log ADD COLUMN failing_since TIMESTAMPTZ;

COMMENT ON COLUMN whoop_sync_log.failing_since IS
    'The first of the failures after which no sync of this type ended well; null where the last one did.';

UPDATE whoop_sync_log SET failing_since = last_error_at WHERE sync_status = 'failed';
