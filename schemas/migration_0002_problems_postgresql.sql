-- Why a sweep can't go on; live workers among many; how long stages took.
SET LOCAL search_path TO steerscope;

ALTER TABLE sweep ADD COLUMN problem text COLLATE "C";
COMMENT ON COLUMN sweep.problem IS 'why it can''t go on, in words; null when all is well';
CREATE INDEX worker_by_seen ON worker (seen_at);

CREATE VIEW stage_time AS
SELECT s.name AS sweep, s.id AS sweep_id, t.kind, count(DISTINCT t.id) AS tasks,
  extract(epoch FROM sum(a.ended_at - a.started_at))::double precision AS seconds,
  extract(epoch FROM max(a.ended_at - a.started_at))::double precision AS longest,
  extract(epoch FROM min(a.started_at))::double precision AS first_start,
  extract(epoch FROM max(a.ended_at))::double precision AS last_end
FROM sweep s
JOIN sweep_task st ON st.sweep = s.number + 0
JOIN task t ON t.id = st.task
JOIN task_attempt a ON a.task = t.id
WHERE a.outcome = 'done'
GROUP BY s.name, s.id, t.kind;
COMMENT ON VIEW stage_time IS 'One row: a kind of task in a sweep, and how long its finished tasks took.';
COMMENT ON COLUMN stage_time.sweep IS 'the sweep''s name';
COMMENT ON COLUMN stage_time.sweep_id IS 'the sweep''s id';
COMMENT ON COLUMN stage_time.kind IS 'the kind of task';
COMMENT ON COLUMN stage_time.tasks IS 'how many are done';
COMMENT ON COLUMN stage_time.seconds IS 'seconds that they took in all, by the clock';
COMMENT ON COLUMN stage_time.longest IS 'seconds that the longest took';
COMMENT ON COLUMN stage_time.first_start IS 'when the first began, in seconds since 1970';
COMMENT ON COLUMN stage_time.last_end IS 'when the last ended, in seconds since 1970';
