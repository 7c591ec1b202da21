-- The audit trail: connects, disconnects, exports and erasures with the caller and the member, the
-- changes by operators, and every access with a service key. A serving role can insert and read rows,
-- but not update or delete them. Retention must delete rows and an erasure must update them: for each
-- there is one function with only this purpose, which runs with the owner's privileges.

CREATE TABLE whoop_audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMPTZ NOT NULL,
    caller TEXT NOT NULL,
    action TEXT NOT NULL,
    user_id TEXT,
    request_id TEXT,
    detail TEXT,
    CONSTRAINT whoop_audit_pkey PRIMARY KEY (id),
    CONSTRAINT whoop_audit_caller_check CHECK (caller ~ '^(member|whoop|(key|cli):.{1,80})$'),
    CONSTRAINT whoop_audit_action_check CHECK (action ~ '^[a-z][a-z-]{1,39}$'),
    CONSTRAINT whoop_audit_detail_check CHECK (char_length(detail) <= 500)
);

CREATE INDEX whoop_audit_at_idx ON whoop_audit (at, id);
CREATE INDEX whoop_audit_user_id_idx ON whoop_audit (user_id, at, id) WHERE user_id IS NOT NULL;

COMMENT ON TABLE whoop_audit IS 'Audit trail; append-only for serving roles, kept for AUDIT_RETENTION_DAYS.';
COMMENT ON COLUMN whoop_audit.at IS 'When it happened, by the clock of the process that wrote the row.';
COMMENT ON COLUMN whoop_audit.caller IS 'member; key:NAME of the service key; cli:USER of the operating system; whoop for what a callback of WHOOP completed.';
COMMENT ON COLUMN whoop_audit.user_id IS 'The member concerned; after an erasure a keyed pseudonym (erased:…); null if it concerns no single member.';
COMMENT ON COLUMN whoop_audit.request_id IS 'X-Request-Id of the request, as in the request log.';

CREATE FUNCTION whoop_audit_purge(before TIMESTAMPTZ) RETURNS BIGINT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    purged BIGINT;
BEGIN
    IF before IS NULL OR before > now() - interval '30 days' THEN
        RAISE EXCEPTION 'the audit trail keeps the last 30 days; name an earlier time';
    END IF;
    DELETE FROM public.whoop_audit WHERE at < before;
    GET DIAGNOSTICS purged = ROW_COUNT;
    RETURN purged;
END
$$;

COMMENT ON FUNCTION whoop_audit_purge(TIMESTAMPTZ) IS 'Deletes audit rows from before a time that is at least 30 days past.';

CREATE FUNCTION whoop_audit_pseudonymise(member TEXT, pseudonym TEXT) RETURNS BIGINT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed BIGINT;
BEGIN
    IF pseudonym IS NULL OR pseudonym !~ '^erased:[0-9a-f]{32}$' THEN
        RAISE EXCEPTION 'a pseudonym is erased: and 32 hexadecimal digits';
    END IF;
    IF EXISTS (SELECT 1 FROM public.whoop_users WHERE user_id = member) THEN
        RAISE EXCEPTION 'the member is stored; erase the member first';
    END IF;
    UPDATE public.whoop_audit SET user_id = pseudonym WHERE user_id = member;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;

COMMENT ON FUNCTION whoop_audit_pseudonymise(TEXT, TEXT) IS 'Replaces the id of an erased member in the audit trail; refused while the member is stored.';

REVOKE ALL ON FUNCTION whoop_audit_purge(TIMESTAMPTZ), whoop_audit_pseudonymise(TEXT, TEXT) FROM PUBLIC;

CREATE OR REPLACE FUNCTION whoop_serving_privileges(table_name TEXT) RETURNS TEXT[]
LANGUAGE sql IMMUTABLE SECURITY INVOKER
AS $$
    SELECT CASE table_name
        -- The API checks whether every migration is applied.
        WHEN '__diesel_schema_migrations' THEN ARRAY['SELECT']
        WHEN 'whoop_audit' THEN ARRAY['SELECT', 'INSERT']
        -- A revoked key keeps its row.
        WHEN 'whoop_service_key' THEN ARRAY['SELECT', 'INSERT', 'UPDATE']
        ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']
    END
$$;

CREATE OR REPLACE FUNCTION whoop_let_serve(role_name TEXT) RETURNS VOID
LANGUAGE plpgsql SECURITY INVOKER
AS $$
DECLARE
    table_name TEXT;
    needed REGPROCEDURE;
BEGIN
    IF NOT has_schema_privilege(role_name, 'public', 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role_name);
    END IF;
    FOR table_name IN SELECT whoop_serving_tables() LOOP
        PERFORM whoop_let_serve_table(role_name, table_name);
    END LOOP;
    -- Default privileges of the schema may have granted more. The owner and a superuser keep theirs.
    FOR table_name IN
        SELECT c.relname FROM pg_class c
        WHERE c.oid IN ('public.whoop_audit'::regclass, 'public.whoop_service_key'::regclass)
          AND pg_has_role(c.relowner, 'USAGE') AND NOT pg_has_role(role_name, c.relowner, 'MEMBER')
    LOOP
        IF table_name = 'whoop_audit' AND has_table_privilege(role_name, 'public.whoop_audit', 'UPDATE') THEN
            EXECUTE format('REVOKE UPDATE ON TABLE public.whoop_audit FROM %I', role_name);
        END IF;
        IF has_table_privilege(role_name, format('public.%I', table_name), 'DELETE, TRUNCATE') THEN
            EXECUTE format('REVOKE DELETE, TRUNCATE ON TABLE public.%I FROM %I', table_name, role_name);
        END IF;
    END LOOP;
    FOREACH needed IN ARRAY ARRAY[
        'public.get_daily_summary(TEXT, DATE)'::REGPROCEDURE,
        'public.whoop_audit_purge(TIMESTAMPTZ)'::REGPROCEDURE,
        'public.whoop_audit_pseudonymise(TEXT, TEXT)'::REGPROCEDURE
    ] LOOP
        IF NOT has_function_privilege(role_name, needed, 'EXECUTE') THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', needed, role_name);
        END IF;
    END LOOP;
END
$$;

COMMENT ON COLUMN whoop_adopted.member_digest IS 'SHA-256 of the app''s id of the member, in hex. Anybody who has the list of ids can compute it.';

DO $$
DECLARE
    reader TEXT;
BEGIN
    ALTER TABLE whoop_audit ENABLE ROW LEVEL SECURITY;
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON TABLE whoop_audit FROM %I', reader);
        EXECUTE format('REVOKE ALL ON SEQUENCE whoop_audit_id_seq FROM %I', reader);
        EXECUTE format('REVOKE ALL ON FUNCTION whoop_audit_purge(TIMESTAMPTZ), '
                       'whoop_audit_pseudonymise(TEXT, TEXT) FROM %I', reader);
    END LOOP;
END
$$;
