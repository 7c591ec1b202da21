DROP TABLE whoop_erasure;
DROP TABLE whoop_revocation;
DROP TABLE whoop_refresh;
