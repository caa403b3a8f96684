-- Sweeps, tasks and their control, artifacts, results, views. Times are seconds since 1970, UTC; flags are 0 or 1.

-- A submitted sweep.
CREATE TABLE sweep (
  number INTEGER PRIMARY KEY AUTOINCREMENT, -- what other tables call it; rises with submission
  id TEXT NOT NULL UNIQUE, -- what people call it: the first digits of the digest
  digest TEXT NOT NULL UNIQUE, -- SHA-256 of the resolved sweep: equal digests are one sweep
  name TEXT NOT NULL, -- the name in the sweep file; not unique
  state TEXT NOT NULL CHECK (state IN ('planning', 'active', 'paused', 'done', 'done_with_parked', 'cancelled')), -- protocol.md
  priority TEXT NOT NULL CHECK (priority IN ('high', 'normal', 'low')), -- the queue of its tasks
  numerics_version INTEGER NOT NULL, -- the arithmetic that its keys are made with; workers of another one stay away
  plan_cursor INTEGER NOT NULL DEFAULT 0, -- where planning goes on
  is_planned INTEGER NOT NULL DEFAULT 0 CHECK (is_planned IN (0, 1)), -- whether all its tasks are here
  submitted_at REAL NOT NULL, -- when it was submitted
  ended_at REAL, -- when it last ended; null while it has not
  document TEXT NOT NULL, -- the sweep file as written
  resolved TEXT NOT NULL -- the resolved sweep as JSON; the plan follows from it
) STRICT;
CREATE INDEX sweep_by_name ON sweep (name, number);

-- A set of tasks that others wait for; tasks that wait for the same set share it.
CREATE TABLE task_group (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- its number
  digest TEXT NOT NULL UNIQUE, -- SHA-256 of its members' keys, in order
  remaining INTEGER NOT NULL CHECK (remaining >= 0) -- members that are not done; at 0 those who wait become ready
) STRICT;

-- A unit of work, by its key unique in the database and shared by all sweeps that want it.
CREATE TABLE task (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- its number
  key TEXT NOT NULL UNIQUE, -- SHA-256 of kind, inputs, parameters and numerics version
  kind TEXT NOT NULL, -- harvest, statistics, extract, vectors, train-sae, decompose, evaluate, side-effects, score
  state TEXT NOT NULL
    CHECK (state IN ('blocked', 'ready', 'queued', 'running', 'done', 'parked', 'cancelled')), -- protocol.md
  layer INTEGER, -- the layer that it is about; null when about several
  task_group INTEGER REFERENCES task_group (id), -- whom it waits for; null for nobody
  failures INTEGER NOT NULL DEFAULT 0, -- failed attempts since it was last revived
  not_before REAL, -- when ready: the end of its back-off
  queue TEXT CHECK (queue IN ('high', 'normal', 'low')), -- where its last message went
  dispatch INTEGER NOT NULL DEFAULT 0, -- how often it was dispatched
  unanswered INTEGER NOT NULL DEFAULT 0, -- dispatches since it was last claimed
  dispatched_at REAL, -- when last; null when it should be again at once
  lease_token INTEGER, -- when running: its attempt, which fences all others
  worker TEXT, -- when running: who has it
  lease_until REAL, -- when running: until when, unless renewed
  ended_at REAL, -- when it became done, parked or cancelled
  estimate REAL NOT NULL, -- estimated seconds on one core
  title TEXT NOT NULL, -- in words
  error TEXT, -- the last failure's message
  files TEXT NOT NULL, -- JSON list of {digest, locator}: where its large inputs lie
  work TEXT NOT NULL, -- canonical JSON of what it computes
  CHECK ((state = 'running') = (lease_token IS NOT NULL)),
  CHECK ((state = 'running') = (worker IS NOT NULL)),
  CHECK ((state = 'running') = (lease_until IS NOT NULL)),
  CHECK ((state IN ('done', 'parked', 'cancelled')) = (ended_at IS NOT NULL))
) STRICT;
CREATE INDEX task_ready ON task (id) WHERE state = 'ready';
CREATE INDEX task_queued ON task (queue, dispatched_at) WHERE state = 'queued';
CREATE INDEX task_running ON task (worker, lease_until) WHERE state = 'running';
CREATE INDEX task_parked ON task (ended_at) WHERE state = 'parked';
CREATE INDEX task_done ON task (ended_at) WHERE state = 'done';
CREATE INDEX task_by_group ON task (task_group) WHERE task_group IS NOT NULL;

-- Which sweeps want which tasks.
CREATE TABLE sweep_task (
  sweep INTEGER NOT NULL REFERENCES sweep (number) ON DELETE CASCADE, -- the sweep
  task INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE, -- the task
  PRIMARY KEY (sweep, task)
) STRICT, WITHOUT ROWID;
CREATE INDEX sweep_task_by_task ON sweep_task (task, sweep);

-- The members of a group of tasks that others wait for.
CREATE TABLE task_group_member (
  task_group INTEGER NOT NULL REFERENCES task_group (id) ON DELETE CASCADE, -- the group
  task INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE, -- the task that is waited for
  PRIMARY KEY (task_group, task)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_group_member_by_task ON task_group_member (task, task_group);

-- One time that a worker had a task.
CREATE TABLE task_attempt (
  token INTEGER PRIMARY KEY AUTOINCREMENT, -- the lease token: rises with every claim, never used again
  task INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE, -- the task
  worker TEXT NOT NULL, -- the worker
  started_at REAL NOT NULL, -- when it was claimed
  ended_at REAL, -- when it ended; null while it runs
  outcome TEXT CHECK (outcome IN ('done', 'failed', 'expired', 'released', 'cancelled')), -- how; null while it runs
  error TEXT, -- what went wrong, or why it was given back
  log TEXT, -- what the task said while it ran
  CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT;
CREATE INDEX task_attempt_by_task ON task_attempt (task);
CREATE INDEX task_attempt_by_worker ON task_attempt (worker, outcome);

-- A worker process.
CREATE TABLE worker (
  id TEXT PRIMARY KEY, -- a UUID per start
  host TEXT NOT NULL, -- the machine's name
  process INTEGER NOT NULL, -- the process id there
  version TEXT NOT NULL, -- the program's version
  numerics_version INTEGER NOT NULL, -- the version of its arithmetic
  cpu TEXT NOT NULL, -- the CPU level that it uses
  threads INTEGER NOT NULL, -- threads that it computes with
  condition TEXT NOT NULL CHECK (condition IN ('ready', 'unready', 'draining', 'stopped')), -- how it is
  reason TEXT, -- when unready: why
  started_at REAL NOT NULL, -- when it registered
  seen_at REAL NOT NULL, -- its last heartbeat
  stopped_at REAL -- when it signed off
) STRICT;

-- The one place of the leader, for which coordinators compete.
CREATE TABLE leader (
  place INTEGER PRIMARY KEY CHECK (place = 1), -- there is one
  holder TEXT NOT NULL, -- who leads, or led last
  token INTEGER NOT NULL, -- rises with every new leader; every write of a leader carries it
  lease_until REAL NOT NULL -- until when, unless renewed
) STRICT;
INSERT INTO leader (place, holder, token, lease_until) VALUES (1, '', 0, 0);

-- Bytes by content: small inputs, and what tasks make for one another.
CREATE TABLE artifact (
  digest TEXT PRIMARY KEY, -- SHA-256 of the bytes
  size INTEGER NOT NULL CHECK (size >= 0), -- how many
  created_at REAL NOT NULL -- when they were first stored
) STRICT;

-- An artifact's bytes, in pieces of a mebibyte.
CREATE TABLE artifact_chunk (
  artifact TEXT NOT NULL REFERENCES artifact (digest) ON DELETE CASCADE, -- the artifact
  position INTEGER NOT NULL, -- 0, 1, 2 ...
  bytes BLOB NOT NULL, -- the piece
  PRIMARY KEY (artifact, position)
) STRICT;

-- What a task made, under the names by which others ask for it.
CREATE TABLE task_artifact (
  task INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE, -- the task that made it
  name TEXT NOT NULL, -- activations, vectors, reconstructions ...
  artifact TEXT NOT NULL REFERENCES artifact (digest), -- the bytes
  PRIMARY KEY (task, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_artifact_by_artifact ON task_artifact (artifact);

-- The small inputs of a sweep.
CREATE TABLE sweep_artifact (
  sweep INTEGER NOT NULL REFERENCES sweep (number) ON DELETE CASCADE, -- the sweep
  artifact TEXT NOT NULL REFERENCES artifact (digest), -- the bytes
  PRIMARY KEY (sweep, artifact)
) STRICT, WITHOUT ROWID;
CREATE INDEX sweep_artifact_by_artifact ON sweep_artifact (artifact);

-- The models that a sweep runs.
CREATE TABLE model (
  sweep INTEGER NOT NULL REFERENCES sweep (number) ON DELETE CASCADE, -- the sweep
  position INTEGER NOT NULL, -- 0, 1, 2 ... in the sweep
  digest TEXT NOT NULL, -- SHA-256 over all its files
  name TEXT NOT NULL, -- its name
  locator TEXT NOT NULL, -- where it was found
  architecture TEXT NOT NULL, -- llama, gemma2 ...
  parameters INTEGER, -- number of weights
  layers INTEGER, -- number of blocks
  width INTEGER, -- d_model
  vocabulary INTEGER, -- number of tokens
  weights TEXT NOT NULL, -- as-stored, float32 or bfloat16
  template TEXT NOT NULL, -- the prompt template
  PRIMARY KEY (sweep, position)
) STRICT, WITHOUT ROWID;

-- The behaviours that a sweep steers towards.
CREATE TABLE behaviour (
  sweep INTEGER NOT NULL REFERENCES sweep (number) ON DELETE CASCADE, -- the sweep
  position INTEGER NOT NULL, -- 0, 1, 2 ... in the sweep
  name TEXT NOT NULL, -- its name in results
  contrast_digest TEXT, -- the contrast set; null where the vector was given
  vector_digest TEXT, -- the vector file; null where the vector is extracted
  questions_digest TEXT, -- the evaluation questions
  pairs INTEGER, -- contrast pairs used
  questions INTEGER, -- questions used
  read TEXT CHECK (read IN ('first-difference', 'answer-mean')), -- where the activations are read
  PRIMARY KEY (sweep, position),
  UNIQUE (sweep, name)
) STRICT, WITHOUT ROWID;

-- A sparse autoencoder, as measured.
CREATE TABLE sae (
  task INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE, -- the task that wrote the row
  name TEXT NOT NULL, -- its name in results
  layer INTEGER NOT NULL, -- the layer that it reads
  width INTEGER, -- number of features
  architecture TEXT, -- standard, jumprelu, topk, gated ...
  source TEXT CHECK (source IN ('file', 'trained', 'untrained')), -- where it comes from
  digest TEXT, -- SHA-256 of its content
  l0 REAL, -- mean number of active features of a token
  explained_variance REAL, -- share of the activations' variance
  dead_share REAL, -- share of features that were never active
  tokens INTEGER, -- tokens measured or trained on
  steps INTEGER, -- training steps
  threshold REAL, -- the threshold, where there is one for all features
  PRIMARY KEY (task, name)
) STRICT, WITHOUT ROWID;

-- A steering vector or control.
CREATE TABLE steering_vector (
  task INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE, -- the task that wrote the row
  behaviour TEXT NOT NULL, -- the behaviour
  layer INTEGER NOT NULL, -- the layer
  name TEXT NOT NULL, -- original, pca, shuffled-0, random-0 ...
  norm REAL, -- its Euclidean norm
  pairs INTEGER, -- contrast pairs that it is made of
  cosine_with_original REAL, -- cosine with the original
  PRIMARY KEY (task, behaviour, layer, name)
) STRICT, WITHOUT ROWID;

-- Activations of a layer on text: the distribution that vectors are compared with.
CREATE TABLE activation_statistics (
  task INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE, -- the task that wrote the row
  layer INTEGER NOT NULL, -- the layer
  tokens INTEGER, -- tokens counted
  excluded INTEGER, -- tokens left out: the first of a text, outliers
  mean_norm REAL, -- mean Euclidean norm
  norm_min REAL, -- smallest norm
  norm_p01 REAL, -- percentiles of the norm, from here ...
  norm_p05 REAL, -- 5th
  norm_p25 REAL, -- 25th
  norm_p50 REAL, -- median
  norm_p75 REAL, -- 75th
  norm_p95 REAL, -- 95th
  norm_p99 REAL, -- ... to here
  norm_max REAL, -- largest norm
  mean_vector_norm REAL, -- norm of the mean activation
  norm_histogram TEXT, -- JSON {"edges": [...], "counts": [...]}
  PRIMARY KEY (task, layer)
) STRICT, WITHOUT ROWID;

-- A vector taken apart through an SAE by a method, cut to a sparsity, at a coefficient.
CREATE TABLE decomposition (
  task INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE, -- the task that wrote the row
  behaviour TEXT NOT NULL, -- whose vector
  layer INTEGER NOT NULL, -- the layer
  sae TEXT NOT NULL, -- the SAE's name
  width INTEGER, -- its number of features
  method TEXT NOT NULL, -- the method
  sparsity TEXT NOT NULL, -- the most features kept: a number, or all
  convention TEXT NOT NULL, -- with-bias or without-bias: whether b_dec is part of the reconstruction
  input_convention TEXT NOT NULL, -- b_dec-subtracted or b_dec-kept, on the encoder's input
  configured INTEGER NOT NULL CHECK (configured IN (0, 1)), -- 1 where the input convention is what the SAE's file says
  coefficient REAL NOT NULL, -- the vector was multiplied by it
  vector_norm REAL, -- the vector's norm
  norm_percentile REAL, -- its percentile (0..100) among activation norms
  l0 INTEGER, -- features that are not zero
  cosine REAL, -- of vector and reconstruction
  relative_error REAL, -- |vector - reconstruction| / |vector|
  norm_ratio REAL, -- |reconstruction| / |vector|
  negative_share REAL, -- share of the sum of squares of the coefficients that is negative
  zero_l0 INTEGER, -- active features of the zero vector
  zero_overlap REAL, -- share of the vector's active features that are active for zero too
  zero_jaccard REAL, -- the same, over the union
  zero_mass_share REAL, -- sum min(f(v), f(0)) / sum f(v)
  zero_cosine REAL, -- cosine of the two codes
  top5_overlap REAL, -- overlap of the 5 highest features with those of zero
  top10_overlap REAL, -- of the 10 highest
  top20_overlap REAL, -- of the 20 highest
  top50_overlap REAL, -- of the 50 highest
  top100_overlap REAL, -- of the 100 highest
  bias_share REAL, -- share of the pre-activation that is bias, mean over active features
  negative_top100 INTEGER, -- of the 100 features that differ most between the pairs, those that differ negatively
  negative_projection_top100 INTEGER, -- of these, those with negative projections on encoder and decoder
  random_negative_top100 REAL, -- the same for a random direction: the baseline
  negative_energy REAL, -- energy of the code's negative part
  spurious_features INTEGER, -- active for the vector, yet silent on both sides of the pairs
  worst_spurious_feature INTEGER, -- the one with the most anti-aligned partner
  worst_spurious_partner INTEGER, -- that partner
  worst_spurious_cosine REAL, -- their cosine
  PRIMARY KEY (task, behaviour, layer, sae, method, sparsity, convention, input_convention, coefficient)
) STRICT, WITHOUT ROWID;
CREATE INDEX decomposition_as_configured ON decomposition (behaviour, layer, sae, method, sparsity, convention)
  WHERE configured = 1 AND coefficient = 1;

-- A feature of a decomposition, by falling magnitude.
CREATE TABLE decomposition_feature (
  task INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE, -- the task that wrote the row
  behaviour TEXT NOT NULL, -- whose vector
  layer INTEGER NOT NULL, -- the layer
  sae TEXT NOT NULL, -- the SAE's name
  method TEXT NOT NULL, -- the method
  sparsity TEXT NOT NULL, -- the most features kept: a number, or all
  convention TEXT NOT NULL, -- with-bias or without-bias
  rank INTEGER NOT NULL, -- its place
  feature INTEGER NOT NULL, -- its index in the SAE
  coefficient REAL, -- its coefficient in the code
  projection REAL, -- of the vector on its decoder direction
  in_zero_vector INTEGER CHECK (in_zero_vector IN (0, 1)), -- whether it is active for the zero vector too
  promoted_tokens TEXT, -- JSON list of the tokens that its decoder direction promotes
  PRIMARY KEY (task, behaviour, layer, sae, method, sparsity, convention, rank)
) STRICT, WITHOUT ROWID;

-- What steering with a variant of a vector at a coefficient does.
CREATE TABLE evaluation (
  task INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE, -- the task that wrote the row
  behaviour TEXT NOT NULL, -- the behaviour
  layer INTEGER NOT NULL, -- the layer steered
  variant TEXT NOT NULL, -- original, reconstruction, zero-vector, random-0 ...
  sae TEXT, -- the SAE; null where none is involved, as with the next three
  method TEXT, -- the method
  sparsity TEXT, -- a number, or all
  convention TEXT, -- with-bias or without-bias
  norm TEXT NOT NULL, -- raw, or matched: rescaled to the original's
  unit TEXT NOT NULL, -- what a coefficient of 1 is: vector or activation-norm
  positions TEXT NOT NULL, -- where the vector was added: scored, last or all
  score TEXT NOT NULL, -- per-token or sum
  coefficient REAL NOT NULL, -- the coefficient
  n INTEGER, -- questions
  propensity REAL, -- mean of log P(matching answer) - log P(other answer)
  propensity_error REAL, -- its standard error
  probability REAL, -- mean probability of the matching answer against the other
  accuracy REAL, -- share of questions whose matching answer is the likelier one
  cross_entropy_change REAL -- on neutral text, nats a token
) STRICT;
CREATE UNIQUE INDEX evaluation_once ON evaluation (
  task, behaviour, layer, variant, coalesce(sae, ''), coalesce(method, ''), coalesce(sparsity, ''),
  coalesce(convention, ''), norm, unit, positions, score, coefficient);

-- How strongly a variant of a vector steers.
CREATE TABLE steerability_score (
  task INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE, -- the task that wrote the row
  behaviour TEXT NOT NULL, -- the behaviour
  layer INTEGER NOT NULL, -- the layer steered
  variant TEXT NOT NULL, -- original, reconstruction, zero-vector, random-0 ...
  sae TEXT, -- the SAE; null where none is involved, as with the next three
  method TEXT, -- the method
  sparsity TEXT, -- a number, or all
  convention TEXT, -- with-bias or without-bias
  norm TEXT NOT NULL, -- raw, or matched: rescaled to the original's
  unit TEXT NOT NULL, -- what a coefficient of 1 is: vector or activation-norm
  positions TEXT NOT NULL, -- where the vector was added: scored, last or all
  score TEXT NOT NULL, -- per-token or sum
  n INTEGER, -- questions
  slope REAL, -- mean over questions of the slope of propensity on coefficient
  slope_error REAL, -- its standard error
  anti_steerable_share REAL, -- share of questions with a negative slope
  spearman REAL, -- rank correlation of the mean curve
  slope_letter_a REAL, -- the slope where the first letter matched
  slope_letter_b REAL -- the slope where the second letter matched
) STRICT;
CREATE UNIQUE INDEX steerability_score_once ON steerability_score (
  task, behaviour, layer, variant, coalesce(sae, ''), coalesce(method, ''), coalesce(sparsity, ''),
  coalesce(convention, ''), norm, unit, positions, score);

-- One question at one coefficient; only with "keep: questions".
CREATE TABLE evaluation_question (
  task INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE, -- the task that wrote the row
  behaviour TEXT NOT NULL, -- the behaviour
  layer INTEGER NOT NULL, -- the layer steered
  variant TEXT NOT NULL, -- original, reconstruction, zero-vector, random-0 ...
  sae TEXT, -- the SAE; null where none is involved, as with the next three
  method TEXT, -- the method
  sparsity TEXT, -- a number, or all
  convention TEXT, -- with-bias or without-bias
  norm TEXT NOT NULL, -- raw, or matched: rescaled to the original's
  question INTEGER NOT NULL, -- its index
  coefficient REAL NOT NULL, -- the coefficient
  propensity REAL, -- log P(matching answer) - log P(other answer)
  probability REAL -- of the matching answer against the other
) STRICT;
CREATE UNIQUE INDEX evaluation_question_once ON evaluation_question (
  task, behaviour, layer, variant, coalesce(sae, ''), coalesce(method, ''), coalesce(sparsity, ''),
  coalesce(convention, ''), norm, question, coefficient);

-- One row: a variant of a vector at a coefficient.
CREATE VIEW steering_curve AS
SELECT s.name AS sweep, s.id AS sweep_id, e.behaviour, e.layer, e.variant, e.sae, e.method, e.sparsity, e.convention,
  e.norm, e.coefficient, e.propensity, e.propensity_error, e.n, e.probability, e.accuracy, e.cross_entropy_change,
  e.unit, e.positions, e.score
FROM sweep s
JOIN sweep_task st ON st.sweep = s.number
JOIN evaluation e ON e.task = st.task;

-- One row: a variant of a vector; beside its slope that of the original (raw norm first) and the ratio of the two,
-- which is null where the original's slope is not different from 0.
CREATE VIEW steerability AS
WITH scored AS (
  SELECT s.number, s.name AS sweep, s.id AS sweep_id, r.*
  FROM sweep s
  JOIN sweep_task st ON st.sweep = s.number
  JOIN steerability_score r ON r.task = st.task
),
original AS (
  SELECT number, behaviour, layer, unit, positions, score, slope, slope_error,
    row_number() OVER (PARTITION BY number, behaviour, layer, unit, positions, score ORDER BY norm DESC) AS choice
  FROM scored
  WHERE variant = 'original'
)
SELECT r.sweep, r.sweep_id, r.behaviour, r.layer, r.variant, r.sae, r.method, r.sparsity, r.convention, r.norm,
  r.slope, r.slope_error, r.anti_steerable_share, r.spearman, r.n, r.slope_letter_a, r.slope_letter_b,
  o.slope AS original_slope, o.slope_error AS original_slope_error,
  CASE WHEN abs(o.slope) >= 1.96 * o.slope_error THEN r.slope / nullif(o.slope, 0) END AS relative_slope,
  r.unit, r.positions, r.score
FROM scored r
LEFT JOIN original o ON o.number = r.number AND o.behaviour = r.behaviour AND o.layer = r.layer AND o.unit = r.unit
  AND o.positions = r.positions AND o.score = r.score AND o.choice = 1;

-- One row: a reconstruction. Faithfulness is its slope / the original's; null where |original's| < 1.96 standard errors.
CREATE VIEW faithfulness AS
WITH configured AS (
  SELECT s.id AS sweep_id, d.*
  FROM sweep s
  JOIN sweep_task st ON st.sweep = s.number
  JOIN decomposition d ON d.task = st.task
  WHERE d.configured = 1 AND d.coefficient = 1
)
SELECT r.sweep, r.sweep_id, r.behaviour, r.layer, r.sae, d.width, r.method, r.sparsity, r.convention, r.norm,
  r.relative_slope AS faithfulness, d.cosine, d.relative_error, d.norm_ratio, d.l0, r.slope, r.slope_error,
  r.original_slope, r.original_slope_error, r.anti_steerable_share, r.n, r.unit, r.positions, r.score
FROM steerability r
LEFT JOIN configured d ON d.sweep_id = r.sweep_id AND d.behaviour = r.behaviour AND d.layer = r.layer
  AND d.sae = r.sae AND d.method = r.method AND d.sparsity = r.sparsity
  AND d.convention = coalesce(r.convention, d.convention)
WHERE r.variant = 'reconstruction';

-- One row: a vector and an SAE. How much of the encoder's answer (its fullest code stored) is the bias speaking.
CREATE VIEW bias_dominance AS
WITH encoded AS (
  SELECT s.name AS sweep, s.id AS sweep_id, d.*,
    row_number() OVER (
      PARTITION BY s.number, d.behaviour, d.layer, d.sae
      ORDER BY CASE WHEN d.sparsity = 'all' THEN 2147483647 ELSE CAST(d.sparsity AS INTEGER) END DESC, d.convention
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
  SELECT s.number, s.name AS sweep, s.id AS sweep_id, d.*
  FROM sweep s
  JOIN sweep_task st ON st.sweep = s.number
  JOIN decomposition d ON d.task = st.task
  WHERE d.configured = 1 AND d.coefficient = 1
),
counted AS (
  SELECT number, sweep, sweep_id, behaviour, layer, sae, max(width) AS width, max(negative_top100) AS negative_top100,
    max(negative_projection_top100) AS negative_projection_top100,
    max(random_negative_top100) AS random_negative_top100, max(spurious_features) AS spurious_features
  FROM configured
  GROUP BY number, sweep, sweep_id, behaviour, layer, sae
),
energy AS (
  SELECT number, behaviour, layer, sae, method, sparsity, negative_energy,
    row_number() OVER (
      PARTITION BY number, behaviour, layer, sae
      ORDER BY CASE WHEN method = 'gradient-pursuit-signed' THEN 0 WHEN method LIKE '%-signed' THEN 1 ELSE 2 END,
        CASE WHEN sparsity = 'all' THEN 2147483647 ELSE CAST(sparsity AS INTEGER) END DESC, method, convention
    ) AS choice
  FROM configured
  WHERE negative_energy IS NOT NULL
),
spurious AS (
  SELECT number, behaviour, layer, sae, worst_spurious_feature, worst_spurious_partner, worst_spurious_cosine,
    row_number() OVER (
      PARTITION BY number, behaviour, layer, sae
      ORDER BY worst_spurious_cosine, worst_spurious_feature, worst_spurious_partner
    ) AS choice
  FROM configured
  WHERE worst_spurious_cosine IS NOT NULL
)
SELECT c.sweep, c.sweep_id, c.behaviour, c.layer, c.sae, c.width, c.negative_top100, c.negative_projection_top100,
  c.random_negative_top100, e.negative_energy, e.method AS energy_method, e.sparsity AS energy_sparsity,
  c.spurious_features, w.worst_spurious_feature, w.worst_spurious_partner, w.worst_spurious_cosine
FROM counted c
LEFT JOIN energy e ON e.number = c.number AND e.behaviour = c.behaviour AND e.layer = c.layer AND e.sae = c.sae
  AND e.choice = 1
LEFT JOIN spurious w ON w.number = c.number AND w.behaviour = c.behaviour AND w.layer = c.layer AND w.sae = c.sae
  AND w.choice = 1;

-- One row: a method at a sparsity, for a behaviour and layer, by its best SAE and convention at matched norm; rank 1 is best.
CREATE VIEW best_method AS
WITH best AS (
  SELECT f.*,
    row_number() OVER (
      PARTITION BY f.sweep_id, f.behaviour, f.layer, f.unit, f.positions, f.score, f.sparsity, f.method
      ORDER BY f.faithfulness DESC, f.sae, f.convention
    ) AS choice
  FROM faithfulness f
  WHERE f.norm = 'matched' AND f.faithfulness IS NOT NULL
)
SELECT sweep, sweep_id, behaviour, layer, sparsity,
  rank() OVER (PARTITION BY sweep_id, behaviour, layer, unit, positions, score, sparsity ORDER BY faithfulness DESC) AS rank,
  method, sae, width, convention, faithfulness, cosine, relative_error, l0, unit, positions, score
FROM best
WHERE choice = 1;

-- One row: a kind of task in a sweep, and how many are in which state.
CREATE VIEW sweep_progress AS
SELECT s.name AS sweep, s.id AS sweep_id, s.state, s.priority, t.kind, count(*) AS tasks,
  sum(CASE WHEN t.state = 'blocked' THEN 1 ELSE 0 END) AS blocked,
  sum(CASE WHEN t.state = 'ready' THEN 1 ELSE 0 END) AS ready,
  sum(CASE WHEN t.state = 'queued' THEN 1 ELSE 0 END) AS queued,
  sum(CASE WHEN t.state = 'running' THEN 1 ELSE 0 END) AS running,
  sum(CASE WHEN t.state = 'done' THEN 1 ELSE 0 END) AS done,
  sum(CASE WHEN t.state = 'parked' THEN 1 ELSE 0 END) AS parked,
  sum(CASE WHEN t.state = 'cancelled' THEN 1 ELSE 0 END) AS cancelled
FROM sweep s
JOIN sweep_task st ON st.sweep = s.number
JOIN task t ON t.id = st.task
GROUP BY s.number, s.name, s.id, s.state, s.priority, t.kind;

-- One row: a worker, and what became of its attempts.
CREATE VIEW worker_activity AS
SELECT w.id AS worker, w.host, w.process, w.version, w.threads, w.condition, w.reason,
  strftime('%Y-%m-%dT%H:%M:%SZ', w.started_at, 'unixepoch') AS started_at,
  strftime('%Y-%m-%dT%H:%M:%SZ', w.seen_at, 'unixepoch') AS seen_at,
  sum(CASE WHEN a.token IS NOT NULL AND a.outcome IS NULL THEN 1 ELSE 0 END) AS running,
  sum(CASE WHEN a.outcome = 'done' THEN 1 ELSE 0 END) AS done,
  sum(CASE WHEN a.outcome = 'failed' THEN 1 ELSE 0 END) AS failed,
  sum(CASE WHEN a.outcome = 'expired' THEN 1 ELSE 0 END) AS expired,
  sum(CASE WHEN a.outcome IN ('released', 'cancelled') THEN 1 ELSE 0 END) AS given_back,
  coalesce(sum(a.ended_at - a.started_at), 0) AS busy_seconds
FROM worker w
LEFT JOIN task_attempt a ON a.worker = w.id
GROUP BY w.id, w.host, w.process, w.version, w.threads, w.condition, w.reason, w.started_at, w.seen_at;

-- One row: a task that failed for good, in a sweep that wants it.
CREATE VIEW parked_task AS
SELECT s.name AS sweep, s.id AS sweep_id, t.id AS task, t.kind, t.layer, t.title, t.error, t.failures,
  strftime('%Y-%m-%dT%H:%M:%SZ', t.ended_at, 'unixepoch') AS parked_at, t.key
FROM sweep s
JOIN sweep_task st ON st.sweep = s.number
JOIN task t ON t.id = st.task
WHERE t.state = 'parked';
