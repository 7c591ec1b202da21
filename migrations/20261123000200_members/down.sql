DROP TABLE whoop_oauth_states;
DROP TABLE whoop_tokens;
DROP TABLE whoop_users;
