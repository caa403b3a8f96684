-- The roles of Steerscope, with the least rights that each needs. Run it as a superuser in the database meant for
-- Steerscope, before or after the first `steerscope database migrate`, and as often as you like:
--
--   createdb steerscope
--   psql -d steerscope -v ON_ERROR_STOP=1 -f roles.sql
--   psql -d steerscope -c '\password steerscope_owner'     (likewise _coordinator, _worker, _reader)
--   STEERSCOPE_DATABASE=postgresql://steerscope_owner@HOST/steerscope steerscope database migrate
--
-- `database migrate` grants the rights on tables (schemas/grants_postgresql.sql), each time it runs, so that they are
-- right for new tables too: run it again after this file. Roles can log in but have no password until one is set: it
-- belongs neither into this file nor into a command line. A person gets an account of their own that is a member:
--
--   CREATE ROLE ada LOGIN IN ROLE steerscope_reader;
--   ALTER ROLE ada SET statement_timeout = '60s';          (settings of a role are not inherited)
--
--   steerscope_owner        owns schema and tables; migrates; runs nothing else
--   steerscope_coordinator  submit, coordinator, pause, resume, cancel, retry, delete; reads everything
--   steerscope_worker       worker: claims, renews, finishes, fails and releases tasks, adds results and artifacts
--   steerscope_reader       query, report, export, status, dashboards: reads
--
-- What someone who has taken over a worker's account could do: read tasks, inputs and artifacts; claim, finish or park
-- any task that is to be done, and so leave wrong results under it, or none; take other workers' leases; say that a
-- worker is well or gone. What they could not: change or delete sweeps, their plans, priorities or inputs; change or
-- delete a result, an artifact or an attempt's record that is there; add tasks; lead; make, change or drop tables; read
-- files; become another role. Rows of different workers can't be told apart by the database, as all are one role; what
-- a task's results were computed from is checked by digest, and running it again elsewhere must give the same bits.

DO $roles$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['steerscope_owner', 'steerscope_coordinator', 'steerscope_worker', 'steerscope_reader']
  LOOP
    IF to_regrole(name) IS NULL THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I', name);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- another database's run was faster
      END;
    END IF;
    EXECUTE format(
      'ALTER ROLE %I LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', name);
  END LOOP;
END
$roles$;

COMMENT ON ROLE steerscope_owner IS 'Steerscope: owns schema and tables, migrates';
COMMENT ON ROLE steerscope_coordinator IS 'Steerscope: submits, plans, dispatches, controls, deletes';
COMMENT ON ROLE steerscope_worker IS 'Steerscope: claims and finishes tasks';
COMMENT ON ROLE steerscope_reader IS 'Steerscope: reads results';

-- A reader's mistakes cost little: nothing runs for ever, fills the disk or takes all connections.
ALTER ROLE steerscope_reader CONNECTION LIMIT 20;
ALTER ROLE steerscope_reader SET statement_timeout = '60s';
ALTER ROLE steerscope_reader SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE steerscope_reader SET lock_timeout = '5s';
ALTER ROLE steerscope_reader SET temp_file_limit = '4GB';

DO $database$
DECLARE
  name text;
  object record;
BEGIN
  -- Nobody else may connect, and nobody at all may make temporary tables.
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  FOREACH name IN ARRAY ARRAY['steerscope_owner', 'steerscope_coordinator', 'steerscope_worker', 'steerscope_reader']
  LOOP
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), name);
  END LOOP;
  REVOKE CREATE ON SCHEMA public FROM PUBLIC;
  -- For all who connect. Views are asked for one sweep: what is read lies in memory or on a disk without heads, and
  -- compiling the question takes longer than the answer.
  EXECUTE format('ALTER DATABASE %I SET search_path = steerscope, public', current_database());
  EXECUTE format('ALTER DATABASE %I SET random_page_cost = 1.1', current_database());
  EXECUTE format('ALTER DATABASE %I SET jit = off', current_database());

  IF to_regnamespace('steerscope') IS NULL THEN
    CREATE SCHEMA steerscope AUTHORIZATION steerscope_owner;
  END IF;
  -- What was migrated before the roles were there becomes the owner's.
  ALTER SCHEMA steerscope OWNER TO steerscope_owner;
  FOR object IN
    SELECT c.oid::regclass AS name,
      CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END
        AS kind
    FROM pg_class c
    WHERE c.relnamespace = 'steerscope'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
      AND c.relowner <> 'steerscope_owner'::regrole
      -- A sequence of a column goes with its table.
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
        AND d.deptype IN ('a', 'i'))
  LOOP
    EXECUTE format('ALTER %s %s OWNER TO steerscope_owner', object.kind, object.name);
  END LOOP;
  FOR object IN
    SELECT p.oid::regprocedure AS name FROM pg_proc p
    WHERE p.pronamespace = 'steerscope'::regnamespace AND p.proowner <> 'steerscope_owner'::regrole
  LOOP
    EXECUTE format('ALTER ROUTINE %s OWNER TO steerscope_owner', object.name);
  END LOOP;

  -- Large objects are the one thing that everyone may write, even where all else is refused.
  FOR object IN
    SELECT p.oid::regprocedure AS name FROM pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace
      AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put', 'lo_truncate', 'lo_truncate64', 'lo_unlink',
        'lowrite')
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', object.name);
  END LOOP;
END
$database$;
