-- Questions to ask of a sweep. Each runs as it stands on PostgreSQL and on SQLite, with `steerscope query`, psql or
-- sqlite3; put your sweep's name in the place of persona-smollm2. A name may have been used by several sweeps: to mean one,
-- say WHERE sweep_id = '...' instead. Say which sweep first in every question to a view: only that sweep is read then.
-- Columns are explained by \d+ faithfulness (psql) and by the comments in the migrations.

-- 1. How much of the steering does each method keep, at each sparsity?
SELECT method, sparsity, avg(faithfulness) AS mean_faithfulness, min(faithfulness) AS worst, max(faithfulness) AS best,
  count(faithfulness) AS reconstructions
FROM faithfulness
WHERE sweep = 'persona-smollm2' AND norm = 'matched'
GROUP BY method, sparsity
ORDER BY method, sparsity;

-- 2. Which method is best for each behaviour and layer with at most 32 features?
SELECT behaviour, layer, method, sae, faithfulness
FROM best_method
WHERE sweep = 'persona-smollm2' AND sparsity = '32' AND rank = 1
ORDER BY behaviour, layer, method;

-- 3. Which reconstructions look like the vector (cosine of 0.9 or more) and steer less than half as much?
SELECT behaviour, layer, sae, method, sparsity, norm, cosine, faithfulness
FROM faithfulness
WHERE sweep = 'persona-smollm2' AND cosine >= 0.9 AND faithfulness < 0.5
ORDER BY faithfulness, behaviour, layer, sae, method, sparsity, norm;

-- 4. And the other way round: which steer well although they look unlike it?
SELECT behaviour, layer, sae, method, sparsity, norm, cosine, faithfulness
FROM faithfulness
WHERE sweep = 'persona-smollm2' AND cosine < 0.5 AND faithfulness >= 0.5
ORDER BY faithfulness DESC, behaviour, layer, sae, method, sparsity, norm;

-- 5. Is what the encoder says about a vector what it says about nothing at all? (zero_overlap near 1: it is.)
SELECT behaviour, layer, sae, norm_percentile, l0, zero_l0, zero_overlap, zero_jaccard, bias_share
FROM bias_dominance
WHERE sweep = 'persona-smollm2'
ORDER BY zero_overlap DESC, behaviour, layer, sae;

-- 6. Does a vector have more negative projections than a random direction?
SELECT behaviour, layer, sae, negative_projection_top100, negative_top100, random_negative_top100, negative_energy
FROM negative_projections
WHERE sweep = 'persona-smollm2'
ORDER BY behaviour, layer, sae;

-- 7. What does a coefficient do: the original beside a reconstruction?
SELECT o.behaviour, o.layer, o.coefficient, o.propensity AS original, r.propensity AS reconstruction, o.n
FROM steering_curve o
JOIN steering_curve r ON r.sweep_id = o.sweep_id AND r.behaviour = o.behaviour AND r.layer = o.layer
  AND r.coefficient = o.coefficient AND r.sweep = 'persona-smollm2' AND r.variant = 'reconstruction'
  AND r.method = 'gradient-pursuit-signed' AND r.sparsity = '32' AND r.norm = 'matched'
WHERE o.sweep = 'persona-smollm2' AND o.variant = 'original' AND o.norm = 'raw'
ORDER BY o.behaviour, o.layer, o.coefficient;

-- 8. Do the controls steer? (They should not: slopes within two standard errors of 0.)
SELECT behaviour, layer, variant, slope, slope_error, relative_slope
FROM steerability
WHERE sweep = 'persona-smollm2' AND variant NOT IN ('original', 'reconstruction')
ORDER BY behaviour, layer, variant, norm;

-- 9. For which questions does steering work backwards, and is it the letter's doing?
SELECT behaviour, layer, slope, anti_steerable_share, slope_letter_a, slope_letter_b
FROM steerability
WHERE sweep = 'persona-smollm2' AND variant = 'original' AND norm = 'raw'
ORDER BY anti_steerable_share DESC, behaviour, layer;

-- 10. What does steering cost: how much worse is neutral text predicted, at which coefficient?
SELECT coefficient, variant, avg(cross_entropy_change) AS nats_per_token
FROM steering_curve
WHERE sweep = 'persona-smollm2' AND cross_entropy_change IS NOT NULL
GROUP BY coefficient, variant
ORDER BY coefficient, variant;

-- 11. Which features is a vector made of?
SELECT f.behaviour, f.layer, f.sae, f.rank, f.feature, f.coefficient, f.projection, f.in_zero_vector, f.promoted_tokens
FROM sweep s
JOIN sweep_task st ON st.sweep = s.number
JOIN decomposition_feature f ON f.task = st.task
WHERE s.name = 'persona-smollm2' AND f.method = 'gradient-pursuit-signed' AND f.sparsity = '32' AND f.rank < 10
ORDER BY f.behaviour, f.layer, f.sae, f.rank;

-- 12. How do two sweeps differ in how strongly the original steers?
SELECT a.behaviour, a.layer, a.slope AS first, b.slope AS second, b.slope - a.slope AS difference
FROM steerability a
JOIN steerability b ON b.behaviour = a.behaviour AND b.layer = a.layer AND b.variant = a.variant AND b.norm = a.norm
  AND b.sweep = 'persona-gemma'
WHERE a.sweep = 'persona-smollm2' AND a.variant = 'original' AND a.norm = 'raw'
ORDER BY a.behaviour, a.layer;

-- 13. How far is it?
SELECT kind, tasks, done, running, queued, ready, blocked, parked
FROM sweep_progress
WHERE sweep = 'persona-smollm2'
ORDER BY kind;

-- 14. How long did each kind of task take?
SELECT kind, tasks, seconds, seconds / nullif(tasks, 0) AS seconds_per_task, longest
FROM stage_time
WHERE sweep = 'persona-smollm2'
ORDER BY seconds DESC, kind;

-- 15. What failed, and why?
SELECT kind, layer, title, failures, parked_at, error
FROM parked_task
WHERE sweep = 'persona-smollm2'
ORDER BY task;

-- 16. Who works, and how long does a task take there?
SELECT host, process, condition, done, failed, expired, busy_seconds / nullif(done, 0) AS seconds_per_task
FROM worker_activity
ORDER BY host, process;

-- 17. What can't go on?
SELECT id, name, state, problem
FROM sweep
WHERE problem IS NOT NULL
ORDER BY number;
