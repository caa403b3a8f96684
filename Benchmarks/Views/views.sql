-- Rows for ops/bench-views, the same in both databases: the script puts in the number of sweeps (SWEEPS), how a dialect
-- inserts ids (IDS), and makes SQL of R(x), a number from 0 to 1 that x decides, and AT(x), a time.
--
-- A sweep: 3 layers x 4 behaviours = 12 cases; per case 10 controls and 4 SAEs x 8 methods x 5 sparsities x 2 norms = 330
-- variants at 17 coefficients: 67,320 evaluations, 3,960 scores, 10,944 decompositions, 672 tasks. Every tenth sweep
-- shares the decompositions of the one before. Names of behaviours, SAEs and methods are the same in all sweeps, and
-- every 50th sweep's name has been used before.

CREATE TEMPORARY TABLE n (i bigint PRIMARY KEY);
WITH RECURSIVE r (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM r WHERE i < 999) INSERT INTO n SELECT i FROM r;

CREATE TEMPORARY TABLE variant (
  v bigint PRIMARY KEY, part bigint, variant text, sae text, method text, sparsity text, convention text, norm text);
INSERT INTO variant
SELECT i, 0, CASE WHEN i < 2 THEN 'original' WHEN i = 2 THEN 'zero-vector' WHEN i = 3 THEN 'shuffled'
  ELSE 'random-' || (i - 4) END, NULL, NULL, NULL, NULL, CASE WHEN i = 1 THEN 'matched' ELSE 'raw' END
FROM n WHERE i < 10;
INSERT INTO variant
SELECT 10 + i, 1 + i / 80, 'reconstruction', 'layer/width_16k/l0_' || (i / 80 * 40 + 20), m.name, k.name,
  CASE WHEN m.p < 3 THEN 'with-bias' ELSE 'without-bias' END, CASE WHEN i % 2 = 0 THEN 'raw' ELSE 'matched' END
FROM n
JOIN (
  SELECT 0 AS p, 'encode' AS name UNION ALL SELECT 1, 'encode-scaled' UNION ALL SELECT 2, 'encode-minus-zero'
  UNION ALL SELECT 3, 'encode-anchored' UNION ALL SELECT 4, 'pair-difference' UNION ALL SELECT 5, 'gradient-pursuit'
  UNION ALL SELECT 6, 'gradient-pursuit-signed' UNION ALL SELECT 7, 'matching-pursuit-signed') m ON m.p = i / 10 % 8
JOIN (
  SELECT 0 AS p, '8' AS name UNION ALL SELECT 1, '16' UNION ALL SELECT 2, '32' UNION ALL SELECT 3, '64'
  UNION ALL SELECT 4, 'all') k ON k.p = i / 2 % 5
WHERE i < 320;

INSERT INTO sweep (number, id, digest, name, state, priority, numerics_version, is_planned, submitted_at, ended_at,
  document, resolved) IDS
SELECT i, substr('000000000000' || i, length('' || i) + 1), 'digest ' || i, 'sweep-' || (CASE WHEN i % 50 = 0 THEN i - 1 ELSE i END),
  'done', 'normal', 1, 1, AT(1700000000 + i * 1000), AT(1700000900 + i * 1000), 'name: sweep', '{}'
FROM (SELECT a.i * 1000 + b.i AS i FROM n a CROSS JOIN n b) q WHERE i BETWEEN 1 AND SWEEPS;

-- 60 scores (a case, a part of its variants), 12 decompositions (a layer and SAE), 600 evaluations.
INSERT INTO task (id, key, kind, state, layer, dispatch, ended_at, estimate, title, files, work) IDS
SELECT s.number * 1000 + n.i, 'key ' || s.number || ' ' || n.i,
  CASE WHEN n.i < 60 THEN 'score' WHEN n.i < 72 THEN 'decompose' ELSE 'evaluate' END,
  CASE WHEN n.i = 671 AND s.number % 7 = 0 THEN 'parked' ELSE 'done' END, 12 + n.i % 3, 1,
  AT(1700000000 + s.number * 1000 + n.i), 20, 'a task of sweep ' || s.number,
  '[{"digest":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","locator":"models/model.gguf"}]',
  '{"kind":"evaluate","behaviour":"power-seeking","layer":12,"questions":{"from":0,"to":50},"variants":[0,1,2,3,4,5,6,7],'
  || '"coefficients":[-4,-3.5,-3,-2.5,-2,-1.5,-1,-0.5,0,0.5,1,1.5,2,2.5,3,3.5,4],"unit":"vector","positions":"scored"}'
FROM sweep s CROSS JOIN n WHERE n.i < 672 ORDER BY 1;
INSERT INTO sweep_task (sweep, task)
SELECT s.number, CASE WHEN n.i BETWEEN 60 AND 71 AND s.number % 10 = 0 THEN -1000 ELSE 0 END + s.number * 1000 + n.i
FROM sweep s CROSS JOIN n WHERE n.i < 672 ORDER BY 1, 2;

INSERT INTO worker (id, host, process, version, numerics_version, cpu, threads, condition, started_at, seen_at)
SELECT 'worker ' || i, 'host', i, '1.0', 1, 'x86-64-v3', 2, 'ready', AT(1700000000), AT(1800000000) FROM n WHERE i < 50;
INSERT INTO task_attempt (task, worker, started_at, ended_at, outcome)
SELECT t.id, 'worker ' || (t.id % 50), AT(1700000000 + t.id), AT(1700000020 + t.id), 'done' FROM task t ORDER BY 1;

INSERT INTO decomposition (task, behaviour, layer, sae, width, method, sparsity, convention, input_convention, configured,
  coefficient, vector_norm, norm_percentile, l0, cosine, relative_error, norm_ratio, negative_share, zero_l0,
  zero_overlap, zero_jaccard, zero_mass_share, zero_cosine, top5_overlap, top10_overlap, top20_overlap, top50_overlap,
  top100_overlap, bias_share, negative_top100, negative_projection_top100, random_negative_top100, negative_energy,
  spurious_features, worst_spurious_feature, worst_spurious_partner, worst_spurious_cosine)
SELECT t.id, 'behaviour-' || b.i, t.layer, v.sae, 16384, v.method, v.sparsity, v.convention,
  CASE WHEN c.i = 5 THEN 'b_dec-subtracted' ELSE 'b_dec-kept' END, CASE WHEN c.i = 5 THEN 0 ELSE 1 END,
  CASE c.i WHEN 0 THEN 1 WHEN 5 THEN 1 ELSE c.i * 2 END, 3.5, 1.5, 30, R(v.v + t.id), R(v.v + t.id + 1),
  R(v.v + t.id + 2), R(v.v + t.id + 3), 40, R(t.id), R(t.id + 1), R(t.id + 2), R(t.id + 3), R(t.id + 4), R(t.id + 5),
  R(t.id + 6), R(t.id + 7), R(t.id + 8), R(t.id + 9), CASE WHEN v.method = 'pair-difference' THEN 47 END,
  CASE WHEN v.method = 'pair-difference' THEN 30 END, CASE WHEN v.method = 'pair-difference' THEN 49.5 END,
  CASE WHEN v.method LIKE '%-signed' THEN R(v.v + t.id + 4) END, CASE WHEN v.method = 'encode-scaled' THEN 3 END,
  CASE WHEN v.method = 'encode-scaled' THEN 7 END, CASE WHEN v.method = 'encode-scaled' THEN 9 END,
  CASE WHEN v.method = 'encode-scaled' THEN -R(v.v) END
FROM task t
JOIN variant v ON v.norm = 'raw' AND v.part = 1 + (t.id % 1000 - 60) / 3
CROSS JOIN n b CROSS JOIN n c
WHERE t.kind = 'decompose' AND b.i < 4 AND c.i < 6 AND (c.i < 5 OR v.method = 'encode')
ORDER BY t.id;

INSERT INTO steerability_score (task, behaviour, layer, variant, sae, method, sparsity, convention, norm, unit, positions,
  score, n, slope, slope_error, anti_steerable_share, spearman, slope_letter_a, slope_letter_b)
SELECT t.id, 'behaviour-' || (t.id % 1000 / 15), 12 + t.id % 3, v.variant, v.sae, v.method, v.sparsity, v.convention,
  v.norm, 'vector', 'scored', 'per-token', 100, R(t.id + v.v), R(t.id + v.v + 5) / 10, R(v.v), R(v.v + 1), R(v.v + 2),
  R(v.v + 3)
FROM task t JOIN variant v ON v.part = t.id % 1000 / 3 % 5
WHERE t.kind = 'score' ORDER BY t.id, v.v;

INSERT INTO evaluation (task, behaviour, layer, variant, sae, method, sparsity, convention, norm, unit, positions, score,
  coefficient, n, propensity, propensity_error, probability, accuracy, cross_entropy_change)
SELECT t.id, 'behaviour-' || (t.id % 1000 / 15), 12 + t.id % 3, v.variant, v.sae, v.method, v.sparsity, v.convention,
  v.norm, 'vector', 'scored', 'per-token', c.i * 0.5 - 4, 100, R(t.id + v.v + c.i), R(t.id + v.v + c.i + 5) / 10,
  R(v.v + c.i), R(v.v + c.i + 1), R(v.v + c.i + 2)
FROM task t JOIN variant v ON v.part = t.id % 1000 / 3 % 5 CROSS JOIN n c
WHERE t.kind = 'score' AND c.i < 17 ORDER BY t.id, v.v, c.i;
