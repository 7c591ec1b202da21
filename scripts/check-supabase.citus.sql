-- A stand-in for Citus, for a local trial only: its functions' names and arguments, and
-- what it demands of a table before it distributes one. It distributes nothing.
--
-- The demands are those of Citus' documentation and of its checks in
-- create_distributed_table.c, table.c, foreign_constraint.c and policy.c. What it demands
-- of statements is not here.

CREATE SCHEMA citus_stub;
GRANT USAGE ON SCHEMA citus_stub TO PUBLIC;
SET search_path = citus_stub, public;

-- The columns that are used of Citus' own.
CREATE TABLE pg_dist_partition (
    logicalrelid REGCLASS PRIMARY KEY,
    -- 'h' by hash, 'n' for a reference table.
    partmethod "char" NOT NULL,
    partkey TEXT,
    colocationid INTEGER NOT NULL
);
CREATE SEQUENCE colocations;
GRANT SELECT, INSERT ON pg_dist_partition TO PUBLIC;
GRANT USAGE ON SEQUENCE colocations TO PUBLIC;

-- What holds for a table of either kind.
CREATE FUNCTION refuse_unsuitable(wanted REGCLASS) RETURNS VOID LANGUAGE plpgsql
AS $$
DECLARE
    one RECORD;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class WHERE oid = wanted AND relkind IN ('r', 'p') AND relpersistence = 'p'
                   AND pg_has_role(relowner, 'USAGE')) THEN
        RAISE EXCEPTION '% is no permanent table of yours', wanted;
    END IF;
    IF EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = wanted) THEN
        RAISE EXCEPTION 'table "%" is already distributed', wanted;
    END IF;
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = wanted AND NOT tgisinternal) THEN
        RAISE EXCEPTION 'cannot distribute relation "%" because it has triggers', wanted;
    END IF;
    SELECT polname INTO one FROM pg_policy
    WHERE polrelid = wanted AND (polqual::TEXT LIKE '%{SUBLINK%' OR polwithcheck::TEXT LIKE '%{SUBLINK%') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'cannot create policy % on %', one.polname, wanted
            USING DETAIL = 'Subqueries are not supported in policies on distributed tables';
    END IF;
    SELECT attname INTO one FROM pg_attribute
    WHERE attrelid = wanted AND attidentity <> '' AND atttypid <> 'bigint'::REGTYPE;
    IF FOUND THEN
        RAISE EXCEPTION 'identity column %.% is no bigint', wanted, one.attname;
    END IF;
END
$$;

CREATE FUNCTION create_reference_table(table_name REGCLASS) RETURNS VOID LANGUAGE plpgsql
AS $$
DECLARE
    one RECORD;
BEGIN
    PERFORM refuse_unsuitable(table_name);
    SELECT conname INTO one FROM pg_constraint
    WHERE conrelid = table_name AND contype = 'f'
      AND confrelid NOT IN (SELECT logicalrelid FROM pg_dist_partition WHERE partmethod = 'n') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'foreign key % of a reference table leads to a table that is none', one.conname;
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
    one RECORD;
    beside RECORD;
    colocation INTEGER;
BEGIN
    PERFORM refuse_unsuitable(table_name);
    SELECT attnum, atttypid, attgenerated INTO col FROM pg_attribute
    WHERE attrelid = table_name AND attname = distribution_column AND NOT attisdropped;
    IF NOT FOUND OR col.attgenerated <> '' THEN
        RAISE EXCEPTION 'column "%" of "%" cannot distribute it', distribution_column, table_name;
    END IF;

    IF colocate_with IN ('default', 'none') THEN
        colocation := nextval('citus_stub.colocations');
    ELSE
        SELECT d.colocationid, a.atttypid INTO beside
        FROM pg_dist_partition d JOIN pg_attribute a ON a.attrelid = d.logicalrelid AND a.attname = d.partkey
        WHERE d.logicalrelid = colocate_with::REGCLASS AND d.partmethod = 'h';
        IF NOT FOUND THEN
            RAISE EXCEPTION 'relation % is not distributed', colocate_with;
        ELSIF beside.atttypid <> col.atttypid THEN
            RAISE EXCEPTION 'cannot colocate tables % and %', colocate_with, table_name
                USING DETAIL = 'Distribution column types don''t match';
        ELSIF shard_count IS NOT NULL THEN
            RAISE EXCEPTION 'shard_count can''t be specified when the table is colocated with another';
        END IF;
        colocation := beside.colocationid;
    END IF;

    SELECT i.indexrelid::REGCLASS AS name INTO one FROM pg_index i
    WHERE i.indrelid = table_name AND (i.indisunique OR i.indisexclusion)
      AND NOT col.attnum = ANY ((i.indkey::SMALLINT[])[0:i.indnkeyatts - 1]) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'cannot create constraint on "%" (%)', table_name, one.name
            USING DETAIL = 'Distributed relations cannot have UNIQUE, EXCLUDE, or PRIMARY KEY constraints that do not include the partition column';
    END IF;

    FOR one IN
        SELECT c.conname, c.confrelid::REGCLASS AS leads_to, d.partmethod, d.colocationid, c.confdeltype, c.confupdtype,
               array_position(c.conkey, col.attnum) AS mine,
               array_position(c.confkey, (SELECT attnum FROM pg_attribute WHERE attrelid = c.confrelid AND attname = d.partkey)) AS theirs
        FROM pg_constraint c LEFT JOIN pg_dist_partition d ON d.logicalrelid = c.confrelid
        WHERE c.conrelid = table_name AND c.contype = 'f'
    LOOP
        IF one.partmethod IS NULL THEN
            RAISE EXCEPTION 'referenced table "%" must be a distributed table or a reference table', one.leads_to;
        ELSIF one.partmethod = 'h' AND (one.colocationid <> colocation OR one.mine IS DISTINCT FROM one.theirs OR one.mine IS NULL) THEN
            RAISE EXCEPTION 'cannot create foreign key constraint % since relations are not colocated by it', one.conname;
        ELSIF one.mine IS NOT NULL AND (one.confdeltype IN ('n', 'd') OR one.confupdtype IN ('c', 'n', 'd')) THEN
            RAISE EXCEPTION 'foreign key % changes the distribution column', one.conname;
        END IF;
    END LOOP;
    INSERT INTO pg_dist_partition VALUES (table_name, 'h', distribution_column, colocation);
END
$$;

CREATE FUNCTION create_distributed_function(
    function_name REGPROCEDURE, distribution_arg_name TEXT DEFAULT NULL, colocate_with TEXT DEFAULT 'default',
    force_delegation BOOLEAN DEFAULT NULL
) RETURNS VOID LANGUAGE plpgsql AS $$ BEGIN END $$;
