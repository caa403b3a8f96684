-- The rights of the roles of ops/postgres/roles.sql, as far as those exist. Runs at the end of every
-- `steerscope database migrate`, in one transaction: whatever was granted before is taken back first.
DO $grants$
BEGIN
  SET LOCAL search_path TO steerscope;
  REVOKE ALL ON ALL TABLES IN SCHEMA steerscope FROM PUBLIC;
  REVOKE ALL ON ALL SEQUENCES IN SCHEMA steerscope FROM PUBLIC;
  REVOKE ALL ON ALL ROUTINES IN SCHEMA steerscope FROM PUBLIC;
  REVOKE ALL ON SCHEMA steerscope FROM PUBLIC;

  IF to_regrole('steerscope_coordinator') IS NOT NULL THEN
    REVOKE ALL ON ALL TABLES IN SCHEMA steerscope FROM steerscope_coordinator;
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA steerscope FROM steerscope_coordinator;
    GRANT USAGE ON SCHEMA steerscope TO steerscope_coordinator;
    GRANT SELECT ON ALL TABLES IN SCHEMA steerscope TO steerscope_coordinator;
    -- Submitting.
    GRANT INSERT ON sweep, model, behaviour, artifact, artifact_chunk, sweep_artifact TO steerscope_coordinator;
    -- To lock a row that is used again, so that it isn't collected meanwhile, takes the right to change some column.
    GRANT UPDATE (created_at) ON artifact TO steerscope_coordinator;
    -- Planning.
    GRANT INSERT ON task, sweep_task, task_group, task_group_member TO steerscope_coordinator;
    -- Leading, dispatching, reaping, settling, control. What a task is never changes.
    GRANT UPDATE (holder, token, lease_until) ON leader TO steerscope_coordinator;
    GRANT UPDATE (state, plan_cursor, is_planned, ended_at, problem) ON sweep TO steerscope_coordinator;
    GRANT UPDATE (
      state, task_group, failures, not_before, queue, dispatch, unanswered, dispatched_at, lease_token, worker,
      lease_until, ended_at, error
    ) ON task TO steerscope_coordinator;
    GRANT UPDATE (remaining) ON task_group TO steerscope_coordinator;
    GRANT UPDATE (ended_at, outcome, error, log) ON task_attempt TO steerscope_coordinator;
    -- Deleting a sweep; what hangs on these rows goes with them.
    GRANT DELETE ON sweep, task, task_group, artifact TO steerscope_coordinator;
  END IF;

  IF to_regrole('steerscope_worker') IS NOT NULL THEN
    REVOKE ALL ON ALL TABLES IN SCHEMA steerscope FROM steerscope_worker;
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA steerscope FROM steerscope_worker;
    GRANT USAGE ON SCHEMA steerscope TO steerscope_worker;
    GRANT SELECT ON schema_migration, sweep, sweep_task, sweep_artifact, task, task_group, task_group_member,
      task_attempt, task_artifact, artifact, artifact_chunk, worker TO steerscope_worker;
    -- Registering, heartbeats, signing off.
    GRANT INSERT ON worker TO steerscope_worker;
    GRANT UPDATE (
      host, process, version, numerics_version, cpu, threads, condition, reason, seen_at, stopped_at, memory_used,
      memory_limit
    ) ON worker TO steerscope_worker;
    -- Claiming and ending tasks; letting those go that wait for them.
    GRANT UPDATE (
      state, failures, not_before, queue, unanswered, dispatched_at, lease_token, worker, lease_until, ended_at, error
    ) ON task TO steerscope_worker;
    GRANT UPDATE (remaining) ON task_group TO steerscope_worker;
    GRANT INSERT (task, worker, started_at) ON task_attempt TO steerscope_worker;
    GRANT UPDATE (ended_at, outcome, error, log) ON task_attempt TO steerscope_worker;
    -- Results: added, never changed.
    GRANT INSERT ON artifact, artifact_chunk, task_artifact, sae, steering_vector, activation_statistics,
      decomposition, decomposition_feature, evaluation, steerability_score, evaluation_question TO steerscope_worker;
    -- To lock a row that is used again, as above.
    GRANT UPDATE (created_at) ON artifact TO steerscope_worker;
  END IF;

  IF to_regrole('steerscope_reader') IS NOT NULL THEN
    REVOKE ALL ON ALL TABLES IN SCHEMA steerscope FROM steerscope_reader;
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA steerscope FROM steerscope_reader;
    GRANT USAGE ON SCHEMA steerscope TO steerscope_reader;
    GRANT SELECT ON schema_migration, sweep, model, behaviour, sweep_artifact, sweep_task, task, task_attempt,
      task_artifact, artifact, artifact_chunk, worker TO steerscope_reader;
    GRANT SELECT ON sae, steering_vector, activation_statistics, decomposition, decomposition_feature, evaluation,
      steerability_score, evaluation_question TO steerscope_reader;
    GRANT SELECT ON steering_curve, steerability, faithfulness, bias_dominance, negative_projections, best_method,
      sweep_progress, stage_time, worker_activity, parked_task TO steerscope_reader;
  END IF;
END
$grants$;
