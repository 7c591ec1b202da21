DROP FUNCTION get_daily_summary(TEXT, DATE);
