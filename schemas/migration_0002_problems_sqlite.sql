-- Why a sweep can't go on; live workers among many; views that read one sweep only.

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
SELECT r.sweep, r.sweep_id, r.behaviour, r.layer, r.sae, d.width, r.method, r.sparsity, r.convention, r.norm,
  r.relative_slope AS faithfulness, d.cosine, d.relative_error, d.norm_ratio, d.l0, r.slope, r.slope_error,
  r.original_slope, r.original_slope_error, r.anti_steerable_share, r.n, r.unit, r.positions, r.score
FROM steerability r
LEFT JOIN (
  SELECT s.name AS sweep, s.id AS sweep_id, d.*
  FROM sweep s
  JOIN sweep_task st ON st.sweep = s.number
  JOIN decomposition d ON d.task = st.task
  WHERE d.configured = 1 AND d.coefficient = 1
) d ON d.sweep = r.sweep AND d.sweep_id = r.sweep_id AND d.behaviour = r.behaviour AND d.layer = r.layer
  AND d.sae = r.sae AND d.method = r.method AND d.sparsity = r.sparsity
  AND d.convention = coalesce(r.convention, d.convention)
WHERE r.variant = 'reconstruction';

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
  SELECT s.name AS sweep, s.id AS sweep_id, d.*,
    row_number() OVER (
      PARTITION BY s.name, s.id, d.behaviour, d.layer, d.sae
      ORDER BY CASE WHEN d.negative_energy IS NULL THEN 1 ELSE 0 END,
        CASE WHEN d.method = 'gradient-pursuit-signed' THEN 0 WHEN d.method LIKE '%-signed' THEN 1 ELSE 2 END,
        CASE WHEN d.sparsity = 'all' THEN 2147483647 ELSE CAST(d.sparsity AS INTEGER) END DESC, d.method, d.convention,
        d.task
    ) AS energy_choice,
    row_number() OVER (
      PARTITION BY s.name, s.id, d.behaviour, d.layer, d.sae
      ORDER BY d.worst_spurious_cosine NULLS LAST, d.worst_spurious_feature NULLS FIRST,
        d.worst_spurious_partner NULLS FIRST
    ) AS spurious_choice
  FROM sweep s
  JOIN sweep_task st ON st.sweep = s.number
  JOIN decomposition d ON d.task = st.task
  WHERE d.configured = 1 AND d.coefficient = 1
)
SELECT sweep, sweep_id, behaviour, layer, sae, max(width) AS width, max(negative_top100) AS negative_top100,
  max(negative_projection_top100) AS negative_projection_top100, max(random_negative_top100) AS random_negative_top100,
  max(CASE WHEN energy_choice = 1 THEN negative_energy END) AS negative_energy,
  max(CASE WHEN energy_choice = 1 AND negative_energy IS NOT NULL THEN method END) AS energy_method,
  max(CASE WHEN energy_choice = 1 AND negative_energy IS NOT NULL THEN sparsity END) AS energy_sparsity,
  max(spurious_features) AS spurious_features,
  max(CASE WHEN spurious_choice = 1 AND worst_spurious_cosine IS NOT NULL THEN worst_spurious_feature END)
    AS worst_spurious_feature,
  max(CASE WHEN spurious_choice = 1 AND worst_spurious_cosine IS NOT NULL THEN worst_spurious_partner END)
    AS worst_spurious_partner,
  max(CASE WHEN spurious_choice = 1 THEN worst_spurious_cosine END) AS worst_spurious_cosine
FROM configured
GROUP BY sweep, sweep_id, behaviour, layer, sae;

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
