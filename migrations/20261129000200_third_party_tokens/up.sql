-- A JWT with the claim `client_id` was issued to an OAuth client, such as a partner's
-- app that the member signed in to with Supabase's OAuth server. A session with such a
-- JWT can read no rows unless the operator lists the client.

-- The owner of the tables lists clients by replacing this function, which callers of the
-- Data API cannot do. A setting cannot hold the list, because only superusers may set one
-- for a database.
CREATE FUNCTION whoop_accepted_client_ids() RETURNS TEXT[]
LANGUAGE sql STABLE SECURITY INVOKER
AS $$
    SELECT ARRAY[]::TEXT[]
$$;

COMMENT ON FUNCTION whoop_accepted_client_ids() IS
    'OAuth clients (claim client_id) whose tokens may read their member''s rows; replace it to list some.';

CREATE OR REPLACE FUNCTION whoop_current_member() RETURNS TEXT
LANGUAGE sql STABLE SECURITY INVOKER
AS $$
    -- A JWT that the gateway verified comes first: if there is one, a setting that any
    -- session may change is ignored, also if the JWT names no member.
    SELECT CASE
        WHEN nullif(current_setting('request.jwt.claims', TRUE), '') IS NOT NULL
            THEN CASE
                WHEN current_setting('request.jwt.claims', TRUE)::JSONB ->> 'client_id' IS NULL
                    OR current_setting('request.jwt.claims', TRUE)::JSONB ->> 'client_id'
                       = ANY (whoop_accepted_client_ids())
                    THEN current_setting('request.jwt.claims', TRUE)::JSONB ->> 'sub'
            END
        WHEN current_setting('request.jwt.claim.client_id', TRUE) <> ''
            AND current_setting('request.jwt.claim.client_id', TRUE) <> ALL (whoop_accepted_client_ids())
            THEN NULL
        ELSE coalesce(nullif(current_setting('request.jwt.claim.sub', TRUE), ''),
                      nullif(current_setting('whoop.user_id', TRUE), ''))
    END
$$;

DO $$
DECLARE
    reader TEXT;
BEGIN
    FOR reader IN SELECT rolname FROM pg_roles WHERE rolname IN ('authenticated', 'service_role') LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION whoop_accepted_client_ids() TO %I', reader);
    END LOOP;
END
$$;
