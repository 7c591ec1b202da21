CREATE OR REPLACE FUNCTION whoop_current_member() RETURNS TEXT
LANGUAGE sql STABLE SECURITY INVOKER
AS $$
    -- A JWT that the gateway verified comes first: where there is one, a setting
    -- that anybody may change has no say, also where the JWT names no member.
    SELECT CASE
        WHEN nullif(current_setting('request.jwt.claims', TRUE), '') IS NOT NULL
            THEN current_setting('request.jwt.claims', TRUE)::JSONB ->> 'sub'
        ELSE coalesce(nullif(current_setting('request.jwt.claim.sub', TRUE), ''),
                      nullif(current_setting('whoop.user_id', TRUE), ''))
    END
$$;

DROP FUNCTION whoop_accepted_client_ids();
