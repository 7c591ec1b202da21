-- A stand-in for Citus, for local tests only: functions with the same names and arguments, which
-- check the same requirements of a table as Citus does. It distributes nothing.
--
-- The requirements are those of Citus' documentation and of its checks in
-- create_distributed_table.c, table.c, foreign_constraint.c and policy.c. Its requirements for
-- statements are not checked here.

CREATE SCHEMA citus_stub;
GRANT USAGE ON SCHEMA citus_stub TO PUBLIC;
SET search_path = citus_stub, public;

-- Those columns of Citus' table that distribute.sql uses.
CREATE TABLE pg_dist_partition (
    logicalrelid REGCLASS PRIMARY KEY,
    -- 'h': distributed by hash, 'n': reference table.
    partmethod "char" NOT NULL,
    partkey TEXT,
    colocationid INTEGER NOT NULL
);
CREATE SEQUENCE colocations;
GRANT SELECT, INSERT ON pg_dist_partition TO PUBLIC;
GRANT USAGE ON SEQUENCE colocations TO PUBLIC;

-- Requirements for distributed tables and reference tables.
CREATE FUNCTION refuse_unsuitable(target REGCLASS) RETURNS VOID LANGUAGE plpgsql
AS $$
DECLARE
    violation RECORD;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class WHERE oid = target AND relkind IN ('r', 'p') AND relpersistence = 'p'
                   AND pg_has_role(relowner, 'USAGE')) THEN
        RAISE EXCEPTION '% is not a permanent table that you own', target;
    END IF;
    IF EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = target) THEN
        RAISE EXCEPTION 'table "%" is already distributed', target;
    END IF;
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = target AND NOT tgisinternal) THEN
        RAISE EXCEPTION 'cannot distribute relation "%" because it has triggers', target;
    END IF;
    SELECT polname INTO violation FROM pg_policy
    WHERE polrelid = target AND (polqual::TEXT LIKE '%{SUBLINK%' OR polwithcheck::TEXT LIKE '%{SUBLINK%') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'cannot create policy % on %', violation.polname, target
            USING DETAIL = 'Subqueries are not supported in policies on distributed tables';
    END IF;
    SELECT attname INTO violation FROM pg_attribute
    WHERE attrelid = target AND attidentity <> '' AND atttypid <> 'bigint'::REGTYPE;
    IF FOUND THEN
        RAISE EXCEPTION 'identity column %.% is not a bigint', target, violation.attname;
    END IF;
END
$$;

CREATE FUNCTION create_reference_table(table_name REGCLASS) RETURNS VOID LANGUAGE plpgsql
AS $$
DECLARE
    violation RECORD;
BEGIN
    PERFORM refuse_unsuitable(table_name);
    SELECT conname INTO violation FROM pg_constraint
    WHERE conrelid = table_name AND contype = 'f'
      AND confrelid NOT IN (SELECT logicalrelid FROM pg_dist_partition WHERE partmethod = 'n') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'foreign key % of a reference table refers to a table that is not a reference table', violation.conname;
    END IF;
    INSERT INTO pg_dist_partition VALUES (table_name, 'n', NULL, 0);
END
$$;

CREATE FUNCTION create_distributed_table(
    table_name REGCLASS, distribution_column TEXT, distribution_type TEXT DEFAULT 'hash',
    colocate_with TEXT DEFAULT 'default', shard_count INTEGER DEFAULT NULL
) RETURNS VOID LANGUAGE plpgsql
AS $$
DECLARE
    col RECORD;
    violation RECORD;
    foreign_key RECORD;
    colocated RECORD;
    colocation INTEGER;
BEGIN
    PERFORM refuse_unsuitable(table_name);
    SELECT attnum, atttypid, attgenerated INTO col FROM pg_attribute
    WHERE attrelid = table_name AND attname = distribution_column AND NOT attisdropped;
    IF NOT FOUND OR col.attgenerated <> '' THEN
        RAISE EXCEPTION 'column "%" cannot be the distribution column of "%"', distribution_column, table_name;
    END IF;

    IF colocate_with IN ('default', 'none') THEN
        colocation := nextval('citus_stub.colocations');
    ELSE
        SELECT d.colocationid, a.atttypid INTO colocated
        FROM pg_dist_partition d JOIN pg_attribute a ON a.attrelid = d.logicalrelid AND a.attname = d.partkey
        WHERE d.logicalrelid = colocate_with::REGCLASS AND d.partmethod = 'h';
        IF NOT FOUND THEN
            RAISE EXCEPTION 'relation % is not distributed', colocate_with;
        ELSIF colocated.atttypid <> col.atttypid THEN
            RAISE EXCEPTION 'cannot colocate tables % and %', colocate_with, table_name
                USING DETAIL = 'Distribution column types don''t match';
        ELSIF shard_count IS NOT NULL THEN
            RAISE EXCEPTION 'shard_count can''t be specified when the table is colocated with another';
        END IF;
        colocation := colocated.colocationid;
    END IF;

    SELECT i.indexrelid::REGCLASS AS name INTO violation FROM pg_index i
    WHERE i.indrelid = table_name AND (i.indisunique OR i.indisexclusion)
      AND NOT col.attnum = ANY ((i.indkey::SMALLINT[])[0:i.indnkeyatts - 1]) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'cannot create constraint on "%" (%)', table_name, violation.name
            USING DETAIL = 'Distributed relations cannot have UNIQUE, EXCLUDE, or PRIMARY KEY constraints that do not include the partition column';
    END IF;

    FOR foreign_key IN
        SELECT c.conname, c.confrelid::REGCLASS AS referenced_table, d.partmethod, d.colocationid, c.confdeltype, c.confupdtype,
               array_position(c.conkey, col.attnum) AS own_position,
               array_position(c.confkey, (SELECT attnum FROM pg_attribute WHERE attrelid = c.confrelid AND attname = d.partkey)) AS referenced_position
        FROM pg_constraint c LEFT JOIN pg_dist_partition d ON d.logicalrelid = c.confrelid
        WHERE c.conrelid = table_name AND c.contype = 'f'
    LOOP
        IF foreign_key.partmethod IS NULL THEN
            RAISE EXCEPTION 'referenced table "%" must be a distributed table or a reference table', foreign_key.referenced_table;
        ELSIF foreign_key.partmethod = 'h' AND (foreign_key.colocationid <> colocation OR foreign_key.own_position IS DISTINCT FROM foreign_key.referenced_position OR foreign_key.own_position IS NULL) THEN
            RAISE EXCEPTION 'cannot create foreign key constraint % since relations are not colocated by it', foreign_key.conname;
        ELSIF foreign_key.own_position IS NOT NULL AND (foreign_key.confdeltype IN ('n', 'd') OR foreign_key.confupdtype IN ('c', 'n', 'd')) THEN
            RAISE EXCEPTION 'foreign key % can change the distribution column', foreign_key.conname;
        END IF;
    END LOOP;
    INSERT INTO pg_dist_partition VALUES (table_name, 'h', distribution_column, colocation);
END
$$;

CREATE FUNCTION create_distributed_function(
    function_name REGPROCEDURE, distribution_arg_name TEXT DEFAULT NULL, colocate_with TEXT DEFAULT 'default',
    force_delegation BOOLEAN DEFAULT NULL
) RETURNS VOID LANGUAGE plpgsql AS $$ BEGIN END $$;
