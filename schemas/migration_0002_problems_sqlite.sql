-- Why a sweep can't go on; live workers among many; views that read one sweep only; how long stages took.

ALTER TABLE sweep ADD COLUMN problem TEXT; -- why it can't go on, in words; null when all is well
CREATE INDEX worker_by_seen ON worker (seen_at);

DROP VIEW best_method;
DROP VIEW negative_projections;
DROP VIEW bias_dominance;
DROP VIEW faithfulness;
DROP VIEW steerability;

-- Where a view computes windows or groups, the sweep's name and id are part of them, so that a condition on either is
-- applied to the tables.

-- One row: a variant of a vector; beside its slope that of the original (raw norm first) and the ratio of the two,
-- which is null where the original's slope is not different from 0.
CREATE VIEW steerability AS
WITH scored AS (
  SELECT s.name AS sweep, s.id AS sweep_id, r.*,
    first_value(CASE WHEN r.variant = 'original' THEN r.slope END) OVER same AS original_slope,
    first_value(CASE WHEN r.variant = 'original' THEN r.slope_error END) OVER same AS original_slope_error
  FROM sweep s
  JOIN sweep_task st ON st.sweep = s.number
  JOIN steerability_score r ON r.task = st.task
  WINDOW same AS (
    PARTITION BY s.name, s.id, r.behaviour, r.layer, r.unit, r.positions, r.score
    ORDER BY CASE WHEN r.variant = 'original' THEN 0 ELSE 1 END, r.norm DESC, r.task)
)
SELECT sweep, sweep_id, behaviour, layer, variant, sae, method, sparsity, convention, norm,
  slope, slope_error, anti_steerable_share, spearman, n, slope_letter_a, slope_letter_b,
  original_slope, original_slope_error,
  CASE WHEN abs(original_slope) >= 1.96 * original_slope_error THEN slope / nullif(original_slope, 0) END
    AS relative_slope,
  unit, positions, score
FROM scored;

-- One row: a reconstruction. Faithfulness is its slope / the original's; null where |original's| < 1.96 standard errors.
CREATE VIEW faithfulness AS
WITH piece AS (
  SELECT sweep, sweep_id, behaviour, layer, sae, method, sparsity, convention, 1 AS is_score, norm, relative_slope,
    slope, slope_error, original_slope, original_slope_error, anti_steerable_share, n, unit, positions, score,
    CAST(NULL AS INTEGER) AS width, CAST(NULL AS REAL) AS cosine,
    CAST(NULL AS REAL) AS relative_error, CAST(NULL AS REAL) AS norm_ratio,
    CAST(NULL AS INTEGER) AS l0
  FROM steerability
  WHERE variant = 'reconstruction'
  UNION ALL
  SELECT s.name, s.id, d.behaviour, d.layer, d.sae, d.method, d.sparsity, d.convention, 0, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, d.width, d.cosine, d.relative_error, d.norm_ratio, d.l0
  FROM sweep s
  JOIN sweep_task st ON st.sweep = s.number
  JOIN decomposition d ON d.task = st.task
  WHERE d.configured = 1 AND d.coefficient = 1
),
matched AS (
  SELECT sweep, sweep_id, behaviour, layer, sae, first_value(width) OVER same AS width, method, sparsity, convention,
    norm, relative_slope, first_value(cosine) OVER same AS cosine,
    first_value(relative_error) OVER same AS relative_error, first_value(norm_ratio) OVER same AS norm_ratio,
    first_value(l0) OVER same AS l0, slope, slope_error, original_slope, original_slope_error, anti_steerable_share, n,
    unit, positions, score, is_score
  FROM piece
  WINDOW same AS (
    -- Where a score names no convention, no bias is involved.
    PARTITION BY sweep, sweep_id, behaviour, layer, sae, method, sparsity, coalesce(convention, 'without-bias')
    ORDER BY is_score, cosine)
)
SELECT sweep, sweep_id, behaviour, layer, sae, width, method, sparsity, convention, norm,
  relative_slope AS faithfulness, cosine, relative_error, norm_ratio, l0, slope, slope_error, original_slope,
  original_slope_error, anti_steerable_share, n, unit, positions, score
FROM matched
WHERE is_score = 1;

-- One row: a vector and an SAE. How much of the encoder's answer (its fullest code stored) is the bias speaking.
CREATE VIEW bias_dominance AS
WITH encoded AS (
  SELECT s.name AS sweep, s.id AS sweep_id, d.*,
    row_number() OVER (
      PARTITION BY s.name, s.id, d.behaviour, d.layer, d.sae
      ORDER BY CASE WHEN d.sparsity = 'all' THEN 2147483647 ELSE CAST(d.sparsity AS INTEGER) END DESC, d.convention,
        d.task
    ) AS choice
  FROM sweep s
  JOIN sweep_task st ON st.sweep = s.number
  JOIN decomposition d ON d.task = st.task
  WHERE d.method = 'encode' AND d.configured = 1 AND d.coefficient = 1
)
SELECT sweep, sweep_id, behaviour, layer, sae, width, vector_norm, norm_percentile, l0, zero_l0, zero_overlap,
  zero_jaccard, zero_mass_share, zero_cosine, bias_share, top5_overlap, top10_overlap, top20_overlap, top50_overlap,
  top100_overlap, input_convention
FROM encoded
WHERE choice = 1;

-- One row: a vector and an SAE. What an encoder can't say: negative projections; the energy is that of a signed code, whose
-- method and sparsity stand beside it.
CREATE VIEW negative_projections AS
WITH configured AS (
  SELECT s.name AS sweep, s.id AS sweep_id, d.behaviour, d.layer, d.sae, max(d.width) OVER vector AS width,
    max(d.negative_top100) OVER vector AS negative_top100,
    max(d.negative_projection_top100) OVER vector AS negative_projection_top100,
    max(d.random_negative_top100) OVER vector AS random_negative_top100,
    first_value(d.negative_energy) OVER signed AS negative_energy,
    first_value(CASE WHEN d.negative_energy IS NOT NULL THEN d.method END) OVER signed AS energy_method,
    first_value(CASE WHEN d.negative_energy IS NOT NULL THEN d.sparsity END) OVER signed AS energy_sparsity,
    max(d.spurious_features) OVER vector AS spurious_features,
    first_value(CASE WHEN d.worst_spurious_cosine IS NOT NULL THEN d.worst_spurious_feature END) OVER spurious
      AS worst_spurious_feature,
    first_value(CASE WHEN d.worst_spurious_cosine IS NOT NULL THEN d.worst_spurious_partner END) OVER spurious
      AS worst_spurious_partner,
    first_value(d.worst_spurious_cosine) OVER spurious AS worst_spurious_cosine,
    row_number() OVER signed AS choice
  FROM sweep s
  JOIN sweep_task st ON st.sweep = s.number
  JOIN decomposition d ON d.task = st.task
  WHERE d.configured = 1 AND d.coefficient = 1
  WINDOW vector AS (PARTITION BY s.name, s.id, d.behaviour, d.layer, d.sae),
    signed AS (
      PARTITION BY s.name, s.id, d.behaviour, d.layer, d.sae
      ORDER BY CASE WHEN d.negative_energy IS NULL THEN 1 ELSE 0 END,
        CASE WHEN d.method = 'gradient-pursuit-signed' THEN 0 WHEN d.method LIKE '%-signed' THEN 1 ELSE 2 END,
        CASE WHEN d.sparsity = 'all' THEN 2147483647 ELSE CAST(d.sparsity AS INTEGER) END DESC, d.method, d.convention,
        d.task
    ),
    spurious AS (
      PARTITION BY s.name, s.id, d.behaviour, d.layer, d.sae
      ORDER BY d.worst_spurious_cosine NULLS LAST, d.worst_spurious_feature NULLS FIRST,
        d.worst_spurious_partner NULLS FIRST
    )
)
SELECT sweep, sweep_id, behaviour, layer, sae, width, negative_top100, negative_projection_top100,
  random_negative_top100, negative_energy, energy_method, energy_sparsity, spurious_features, worst_spurious_feature,
  worst_spurious_partner, worst_spurious_cosine
FROM configured
WHERE choice = 1;

-- One row: a method at a sparsity, for a behaviour and layer, by its best SAE and convention at matched norm; rank 1 is best.
CREATE VIEW best_method AS
WITH best AS (
  SELECT f.*,
    row_number() OVER (
      PARTITION BY f.sweep, f.sweep_id, f.behaviour, f.layer, f.unit, f.positions, f.score, f.sparsity, f.method
      ORDER BY f.faithfulness DESC, f.sae, f.convention
    ) AS choice
  FROM faithfulness f
  WHERE f.norm = 'matched' AND f.faithfulness IS NOT NULL
)
SELECT sweep, sweep_id, behaviour, layer, sparsity,
  rank() OVER (
    PARTITION BY sweep, sweep_id, behaviour, layer, unit, positions, score, sparsity ORDER BY faithfulness DESC
  ) AS rank,
  method, sae, width, convention, faithfulness, cosine, relative_error, l0, unit, positions, score
FROM best
WHERE choice = 1;

-- One row: a kind of task in a sweep, and how long its finished tasks took.
CREATE VIEW stage_time AS
SELECT s.name AS sweep, s.id AS sweep_id, t.kind, count(DISTINCT t.id) AS tasks,
  sum(a.ended_at - a.started_at) AS seconds, max(a.ended_at - a.started_at) AS longest,
  min(a.started_at) AS first_start, max(a.ended_at) AS last_end
FROM sweep s
JOIN sweep_task st ON st.sweep = s.number
JOIN task t ON t.id = st.task
JOIN task_attempt a ON a.task = t.id
WHERE a.outcome = 'done'
GROUP BY s.name, s.id, t.kind;
