DO $$
DECLARE
    noted RECORD;
    granted RECORD;
BEGIN
    FOR noted IN SELECT * FROM predecessor_set_aside ORDER BY position DESC LOOP
        CASE noted.kind
            WHEN 'constraint' THEN
                EXECUTE format('ALTER TABLE public.%I RENAME CONSTRAINT %I TO %I',
                               noted.owner, noted.renamed, noted.original);
            WHEN 'index' THEN
                EXECUTE format('ALTER INDEX public.%I RENAME TO %I', noted.renamed, noted.original);
            WHEN 'function' THEN
                EXECUTE format('ALTER FUNCTION public.%I(%s) RENAME TO %I',
                               noted.renamed, noted.owner, noted.original);
                IF noted.privileges IS NULL THEN
                    -- No list means the default: everybody may.
                    EXECUTE format('GRANT EXECUTE ON FUNCTION public.%I(%s) TO PUBLIC',
                                   noted.original, noted.owner);
                ELSE
                    FOR granted IN
                        SELECT grantee, pg_get_userbyid(grantee) AS role
                        FROM aclexplode(string_to_array(noted.privileges, ',')::aclitem[])
                        WHERE privilege_type = 'EXECUTE'
                    LOOP
                        IF granted.grantee = 0 THEN
                            EXECUTE format('GRANT EXECUTE ON FUNCTION public.%I(%s) TO PUBLIC',
                                           noted.original, noted.owner);
                        ELSE
                            EXECUTE format('GRANT EXECUTE ON FUNCTION public.%I(%s) TO %I',
                                           noted.original, noted.owner, granted.role);
                        END IF;
                    END LOOP;
                END IF;
            ELSE
                EXECUTE format('ALTER %s public.%I RENAME TO %I',
                               upper(noted.kind), noted.renamed, noted.original);
        END CASE;
    END LOOP;
END
$$;

DROP TABLE predecessor_set_aside;
