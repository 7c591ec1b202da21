DROP TABLE whoop_call_budget;
