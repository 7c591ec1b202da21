ALTER TABLE whoop_users DROP COLUMN webhook_at;
DROP TABLE whoop_webhook_event;
