-- A sweep of TASKS tasks (a multiple of a million) for ops/bench-views --tasks: 70 % done, 25 % ready, 5 % blocked but for
-- some that are queued, running or parked; one attempt for each that is done.
CREATE TEMPORARY TABLE m (i bigint PRIMARY KEY);
WITH RECURSIVE r (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM r WHERE i < 999) INSERT INTO m SELECT i FROM r;

INSERT INTO sweep (number, id, digest, name, state, priority, numerics_version, is_planned, submitted_at, document, resolved)
IDS
SELECT 100000, 'ffffffffffff', 'digest large', 'large', 'active', 'normal', 1, 1, AT(1700000000), 'name: large', '{}';
INSERT INTO task (id, key, kind, state, layer, dispatch, queue, dispatched_at, lease_token, worker, lease_until, ended_at,
  estimate, title, files, work) IDS
SELECT 1000000000 + i, '0123456789abcdef0123456789abcdef0123456789abcdef0123456' || i, kind, state, 12, 1,
  CASE WHEN state = 'queued' THEN 'normal' END, CASE WHEN state = 'queued' THEN AT(1700000000) END,
  CASE WHEN state = 'running' THEN i END, CASE WHEN state = 'running' THEN 'worker ' || (i % 50) END,
  CASE WHEN state = 'running' THEN AT(1800000000) END,
  CASE WHEN state IN ('done', 'parked') THEN AT(1700000000 + i / 100) END, 20, 'a task of the large sweep',
  '[{"digest":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","locator":"models/model.gguf"}]',
  '{"kind":"evaluate","behaviour":"power-seeking","layer":12,"questions":{"from":0,"to":50},"variants":[0,1,2,3,4,5,6,7],'
  || '"coefficients":[-4,-3.5,-3,-2.5,-2,-1.5,-1,-0.5,0,0.5,1,1.5,2,2.5,3,3.5,4],"unit":"vector","positions":"scored"}'
FROM (
  SELECT i, CASE i % 10 WHEN 0 THEN 'score' WHEN 1 THEN 'decompose' ELSE 'evaluate' END AS kind,
    CASE WHEN i < TASKS / 10 * 7 THEN CASE WHEN i % 100000 = 7 THEN 'parked' ELSE 'done' END
      WHEN i < TASKS / 10 * 7 + 50 THEN 'running' WHEN i < TASKS / 10 * 7 + 250 THEN 'queued'
      WHEN i < TASKS / 100 * 95 THEN 'ready' ELSE 'blocked' END AS state
  FROM (SELECT 1000000 * a.i + 1000 * b.i + c.i AS i FROM m a CROSS JOIN m b CROSS JOIN m c WHERE a.i < TASKS / 1000000) n
) q;
INSERT INTO sweep_task (sweep, task) SELECT 100000, id FROM task WHERE id >= 1000000000 ORDER BY id;
INSERT INTO task_attempt (task, worker, started_at, ended_at, outcome)
SELECT id, 'worker ' || (id % 50), AT(1700000000 + id % 100000000 / 100), AT(1700000020 + id % 100000000 / 100), 'done'
FROM task WHERE id >= 1000000000 AND state = 'done' ORDER BY id;
