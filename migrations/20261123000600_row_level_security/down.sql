DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['whoop_users', 'whoop_cycle', 'whoop_recovery', 'whoop_sleep',
                                'whoop_workout', 'whoop_sync_log'] LOOP
        EXECUTE format('DROP POLICY %I ON %I', name || '_own_rows', name);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['whoop_tokens', 'whoop_oauth_states', 'whoop_sync_run',
                                'whoop_rejected_record', 'predecessor_set_aside'] LOOP
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', name);
    END LOOP;
END
$$;

GRANT EXECUTE ON FUNCTION get_daily_summary(TEXT, DATE) TO PUBLIC;
DROP FUNCTION whoop_current_member();
