DO $$
DECLARE
    found RECORD;
BEGIN
    FOR found IN
        SELECT p.polname AS policy, c.relname AS name
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
        WHERE c.relnamespace = 'public'::regnamespace AND p.polname LIKE 'whoop\_serves\_%'
    LOOP
        EXECUTE format('DROP POLICY %I ON public.%I', found.policy, found.name);
    END LOOP;
END
$$;

DROP FUNCTION whoop_let_serve(TEXT);
