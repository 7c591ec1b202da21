DROP TABLE whoop_change;
ALTER TABLE whoop_users DROP COLUMN change_seq;
