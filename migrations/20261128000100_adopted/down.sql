DROP TABLE whoop_adopted;
