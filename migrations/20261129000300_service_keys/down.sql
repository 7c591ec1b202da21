DROP TABLE whoop_service_key;
