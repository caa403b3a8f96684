-- Sweeps, tasks and their control, artifacts, results, views: the tables, columns and comments of the SQLite schema.
-- Times are timestamptz, whole numbers bigint, flags 0 or 1. Texts sort by their bytes, as in SQLite and whatever the
-- database's locale: the order of rows and the choices that views make are the same everywhere.
-- Runs in one transaction, as a role that may create in the schema; see PostgreSQLMigrator and ops/postgres/roles.sql.
DO $$ BEGIN IF to_regnamespace('steerscope') IS NULL THEN CREATE SCHEMA steerscope; END IF; END $$;
SET LOCAL search_path TO steerscope;
COMMENT ON SCHEMA steerscope IS 'Sweeps of steering experiments: what to do, who does it, and what came out.';

CREATE TABLE sweep (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text COLLATE "C" NOT NULL UNIQUE,
  digest text COLLATE "C" NOT NULL UNIQUE,
  name text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL
    CHECK (state IN ('planning', 'active', 'paused', 'done', 'done_with_parked', 'cancelled')),
  priority text COLLATE "C" NOT NULL CHECK (priority IN ('high', 'normal', 'low')),
  numerics_version bigint NOT NULL,
  plan_cursor bigint NOT NULL DEFAULT 0,
  is_planned bigint NOT NULL DEFAULT 0 CHECK (is_planned IN (0, 1)),
  submitted_at timestamptz NOT NULL,
  ended_at timestamptz,
  document text COLLATE "C" NOT NULL,
  resolved text COLLATE "C" NOT NULL
);
COMMENT ON TABLE sweep IS 'A submitted sweep.';
COMMENT ON COLUMN sweep.number IS 'what other tables call it; rises with submission';
COMMENT ON COLUMN sweep.id IS 'what people call it: the first digits of the digest';
COMMENT ON COLUMN sweep.digest IS 'SHA-256 of the resolved sweep: equal digests are one sweep';
COMMENT ON COLUMN sweep.name IS 'the name in the sweep file; not unique';
COMMENT ON COLUMN sweep.state IS 'protocol.md';
COMMENT ON COLUMN sweep.priority IS 'the queue of its tasks';
COMMENT ON COLUMN sweep.numerics_version IS
  'the arithmetic that its keys are made with; workers of another one stay away';
COMMENT ON COLUMN sweep.plan_cursor IS 'where planning goes on';
COMMENT ON COLUMN sweep.is_planned IS 'whether all its tasks are here';
COMMENT ON COLUMN sweep.submitted_at IS 'when it was submitted';
COMMENT ON COLUMN sweep.ended_at IS 'when it last ended; null while it has not';
COMMENT ON COLUMN sweep.document IS 'the sweep file as written';
COMMENT ON COLUMN sweep.resolved IS 'the resolved sweep as JSON; the plan follows from it';
CREATE INDEX sweep_by_name ON sweep (name, number);

CREATE TABLE task_group (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  digest text COLLATE "C" NOT NULL UNIQUE,
  remaining bigint NOT NULL CHECK (remaining >= 0)
);
ALTER TABLE task_group SET (fillfactor = 70);
COMMENT ON TABLE task_group IS 'A set of tasks that others wait for; tasks that wait for the same set share it.';
COMMENT ON COLUMN task_group.id IS 'its number';
COMMENT ON COLUMN task_group.digest IS 'SHA-256 of its members'' keys, in order';
COMMENT ON COLUMN task_group.remaining IS 'members that are not done; at 0 those who wait become ready';

CREATE TABLE task (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key text COLLATE "C" NOT NULL UNIQUE,
  kind text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL
    CHECK (state IN ('blocked', 'ready', 'queued', 'running', 'done', 'parked', 'cancelled')),
  layer bigint,
  task_group bigint REFERENCES task_group (id),
  failures bigint NOT NULL DEFAULT 0,
  not_before timestamptz,
  queue text COLLATE "C" CHECK (queue IN ('high', 'normal', 'low')),
  dispatch bigint NOT NULL DEFAULT 0,
  unanswered bigint NOT NULL DEFAULT 0,
  dispatched_at timestamptz,
  lease_token bigint,
  worker text COLLATE "C",
  lease_until timestamptz,
  ended_at timestamptz,
  estimate double precision NOT NULL,
  title text COLLATE "C" NOT NULL,
  error text COLLATE "C",
  files text COLLATE "C" NOT NULL,
  work text COLLATE "C" NOT NULL,
  CHECK ((state = 'running') = (lease_token IS NOT NULL)),
  CHECK ((state = 'running') = (worker IS NOT NULL)),
  CHECK ((state = 'running') = (lease_until IS NOT NULL)),
  CHECK ((state IN ('done', 'parked', 'cancelled')) = (ended_at IS NOT NULL))
);
-- A task's row changes about four times; what it leaves is cleared away before the table has grown by much.
ALTER TABLE task SET (
  fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
  autovacuum_vacuum_insert_scale_factor = 0.1);
COMMENT ON TABLE task IS 'A unit of work, by its key unique in the database and shared by all sweeps that want it.';
COMMENT ON COLUMN task.id IS 'its number';
COMMENT ON COLUMN task.key IS 'SHA-256 of kind, inputs, parameters and numerics version';
COMMENT ON COLUMN task.kind IS
  'harvest, statistics, extract, vectors, train-sae, decompose, evaluate, side-effects, score';
COMMENT ON COLUMN task.state IS 'protocol.md';
COMMENT ON COLUMN task.layer IS 'the layer that it is about; null when about several';
COMMENT ON COLUMN task.task_group IS 'whom it waits for; null for nobody';
COMMENT ON COLUMN task.failures IS 'failed attempts since it was last revived';
COMMENT ON COLUMN task.not_before IS 'when ready: the end of its back-off';
COMMENT ON COLUMN task.queue IS 'where its last message went';
COMMENT ON COLUMN task.dispatch IS 'how often it was dispatched';
COMMENT ON COLUMN task.unanswered IS 'dispatches since it was last claimed';
COMMENT ON COLUMN task.dispatched_at IS 'when last; null when it should be again at once';
COMMENT ON COLUMN task.lease_token IS 'when running: its attempt, which fences all others';
COMMENT ON COLUMN task.worker IS 'when running: who has it';
COMMENT ON COLUMN task.lease_until IS 'when running: until when, unless renewed';
COMMENT ON COLUMN task.ended_at IS 'when it became done, parked or cancelled';
COMMENT ON COLUMN task.estimate IS 'estimated seconds on one core';
COMMENT ON COLUMN task.title IS 'in words';
COMMENT ON COLUMN task.error IS 'the last failure''s message';
COMMENT ON COLUMN task.files IS 'JSON list of {digest, locator}: where its large inputs lie';
COMMENT ON COLUMN task.work IS 'canonical JSON of what it computes';
CREATE INDEX task_ready ON task (id) WHERE state = 'ready';
CREATE INDEX task_queued ON task (queue, dispatched_at) WHERE state = 'queued';
-- Without lease_until, so that heartbeats touch no index.
CREATE INDEX task_running ON task (worker) WHERE state = 'running';
CREATE INDEX task_parked ON task (ended_at) WHERE state = 'parked';
CREATE INDEX task_done ON task (ended_at) WHERE state = 'done';
CREATE INDEX task_by_group ON task (task_group) WHERE task_group IS NOT NULL;

CREATE TABLE sweep_task (
  sweep bigint NOT NULL REFERENCES sweep (number) ON DELETE CASCADE,
  task bigint NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  PRIMARY KEY (sweep, task)
);
-- A sweep's tasks are looked up by its number: plans that read all of them side by side only look cheap.
ALTER TABLE sweep_task SET (parallel_workers = 0);
-- Plans are made for sweeps of an ordinary size, of some hundreds of tasks, whatever the largest has.
ALTER TABLE sweep_task ALTER COLUMN sweep SET (n_distinct = -0.002);
COMMENT ON TABLE sweep_task IS 'Which sweeps want which tasks.';
COMMENT ON COLUMN sweep_task.sweep IS 'the sweep';
COMMENT ON COLUMN sweep_task.task IS 'the task';
CREATE INDEX sweep_task_by_task ON sweep_task (task, sweep);

CREATE TABLE task_group_member (
  task_group bigint NOT NULL REFERENCES task_group (id) ON DELETE CASCADE,
  task bigint NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  PRIMARY KEY (task_group, task)
);
COMMENT ON TABLE task_group_member IS 'The members of a group of tasks that others wait for.';
COMMENT ON COLUMN task_group_member.task_group IS 'the group';
COMMENT ON COLUMN task_group_member.task IS 'the task that is waited for';
CREATE INDEX task_group_member_by_task ON task_group_member (task, task_group);

CREATE TABLE task_attempt (
  token bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  task bigint NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  worker text COLLATE "C" NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at timestamptz,
  outcome text COLLATE "C" CHECK (outcome IN ('done', 'failed', 'expired', 'released', 'cancelled')),
  error text COLLATE "C",
  log text COLLATE "C",
  CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
ALTER TABLE task_attempt SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE task_attempt IS 'One time that a worker had a task.';
COMMENT ON COLUMN task_attempt.token IS 'the lease token: rises with every claim, never used again';
COMMENT ON COLUMN task_attempt.task IS 'the task';
COMMENT ON COLUMN task_attempt.worker IS 'the worker';
COMMENT ON COLUMN task_attempt.started_at IS 'when it was claimed';
COMMENT ON COLUMN task_attempt.ended_at IS 'when it ended; null while it runs';
COMMENT ON COLUMN task_attempt.outcome IS 'how; null while it runs';
COMMENT ON COLUMN task_attempt.error IS 'what went wrong, or why it was given back';
COMMENT ON COLUMN task_attempt.log IS 'what the task said while it ran';
CREATE INDEX task_attempt_by_task ON task_attempt (task);
CREATE INDEX task_attempt_by_worker ON task_attempt (worker, outcome) INCLUDE (started_at, ended_at);

CREATE TABLE worker (
  id text COLLATE "C" PRIMARY KEY,
  host text COLLATE "C" NOT NULL,
  process bigint NOT NULL,
  version text COLLATE "C" NOT NULL,
  numerics_version bigint NOT NULL,
  cpu text COLLATE "C" NOT NULL,
  threads bigint NOT NULL,
  condition text COLLATE "C" NOT NULL CHECK (condition IN ('ready', 'unready', 'draining', 'stopped')),
  reason text COLLATE "C",
  started_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL,
  stopped_at timestamptz
);
ALTER TABLE worker SET (fillfactor = 50);
COMMENT ON TABLE worker IS 'A worker process.';
COMMENT ON COLUMN worker.id IS 'a UUID per start';
COMMENT ON COLUMN worker.host IS 'the machine''s name';
COMMENT ON COLUMN worker.process IS 'the process id there';
COMMENT ON COLUMN worker.version IS 'the program''s version';
COMMENT ON COLUMN worker.numerics_version IS 'the version of its arithmetic';
COMMENT ON COLUMN worker.cpu IS 'the CPU level that it uses';
COMMENT ON COLUMN worker.threads IS 'threads that it computes with';
COMMENT ON COLUMN worker.condition IS 'how it is';
COMMENT ON COLUMN worker.reason IS 'when unready: why';
COMMENT ON COLUMN worker.started_at IS 'when it registered';
COMMENT ON COLUMN worker.seen_at IS 'its last heartbeat';
COMMENT ON COLUMN worker.stopped_at IS 'when it signed off';

CREATE TABLE leader (
  place bigint PRIMARY KEY CHECK (place = 1),
  holder text COLLATE "C" NOT NULL,
  token bigint NOT NULL,
  lease_until timestamptz NOT NULL
);
ALTER TABLE leader SET (fillfactor = 10);
COMMENT ON TABLE leader IS 'The one place of the leader, for which coordinators compete.';
COMMENT ON COLUMN leader.place IS 'there is one';
COMMENT ON COLUMN leader.holder IS 'who leads, or led last';
COMMENT ON COLUMN leader.token IS 'rises with every new leader; every write of a leader carries it';
COMMENT ON COLUMN leader.lease_until IS 'until when, unless renewed';
INSERT INTO leader (place, holder, token, lease_until) VALUES (1, '', 0, 'epoch');

CREATE TABLE artifact (
  digest text COLLATE "C" PRIMARY KEY,
  size bigint NOT NULL CHECK (size >= 0),
  created_at timestamptz NOT NULL
);
COMMENT ON TABLE artifact IS 'Bytes by content: small inputs, and what tasks make for one another.';
COMMENT ON COLUMN artifact.digest IS 'SHA-256 of the bytes';
COMMENT ON COLUMN artifact.size IS 'how many';
COMMENT ON COLUMN artifact.created_at IS 'when they were first stored';

CREATE TABLE artifact_chunk (
  artifact text COLLATE "C" NOT NULL REFERENCES artifact (digest) ON DELETE CASCADE,
  position bigint NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (artifact, position)
);
-- Numbers don't compress: no time is lost trying.
ALTER TABLE artifact_chunk ALTER COLUMN bytes SET STORAGE EXTERNAL;
COMMENT ON TABLE artifact_chunk IS 'An artifact''s bytes, in pieces of a mebibyte.';
COMMENT ON COLUMN artifact_chunk.artifact IS 'the artifact';
COMMENT ON COLUMN artifact_chunk.position IS '0, 1, 2 ...';
COMMENT ON COLUMN artifact_chunk.bytes IS 'the piece';

CREATE TABLE task_artifact (
  task bigint NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  name text COLLATE "C" NOT NULL,
  artifact text COLLATE "C" NOT NULL REFERENCES artifact (digest),
  PRIMARY KEY (task, name)
);
COMMENT ON TABLE task_artifact IS 'What a task made, under the names by which others ask for it.';
COMMENT ON COLUMN task_artifact.task IS 'the task that made it';
COMMENT ON COLUMN task_artifact.name IS 'activations, vectors, reconstructions ...';
COMMENT ON COLUMN task_artifact.artifact IS 'the bytes';
CREATE INDEX task_artifact_by_artifact ON task_artifact (artifact);

CREATE TABLE sweep_artifact (
  sweep bigint NOT NULL REFERENCES sweep (number) ON DELETE CASCADE,
  artifact text COLLATE "C" NOT NULL REFERENCES artifact (digest),
  PRIMARY KEY (sweep, artifact)
);
COMMENT ON TABLE sweep_artifact IS 'The small inputs of a sweep.';
COMMENT ON COLUMN sweep_artifact.sweep IS 'the sweep';
COMMENT ON COLUMN sweep_artifact.artifact IS 'the bytes';
CREATE INDEX sweep_artifact_by_artifact ON sweep_artifact (artifact);

CREATE TABLE model (
  sweep bigint NOT NULL REFERENCES sweep (number) ON DELETE CASCADE,
  position bigint NOT NULL,
  digest text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  locator text COLLATE "C" NOT NULL,
  architecture text COLLATE "C" NOT NULL,
  parameters bigint,
  layers bigint,
  width bigint,
  vocabulary bigint,
  weights text COLLATE "C" NOT NULL,
  template text COLLATE "C" NOT NULL,
  PRIMARY KEY (sweep, position)
);
COMMENT ON TABLE model IS 'The models that a sweep runs.';
COMMENT ON COLUMN model.sweep IS 'the sweep';
COMMENT ON COLUMN model.position IS '0, 1, 2 ... in the sweep';
COMMENT ON COLUMN model.digest IS 'SHA-256 over all its files';
COMMENT ON COLUMN model.name IS 'its name';
COMMENT ON COLUMN model.locator IS 'where it was found';
COMMENT ON COLUMN model.architecture IS 'llama, gemma2 ...';
COMMENT ON COLUMN model.parameters IS 'number of weights';
COMMENT ON COLUMN model.layers IS 'number of blocks';
COMMENT ON COLUMN model.width IS 'd_model';
COMMENT ON COLUMN model.vocabulary IS 'number of tokens';
COMMENT ON COLUMN model.weights IS 'as-stored, float32 or bfloat16';
COMMENT ON COLUMN model.template IS 'the prompt template';

CREATE TABLE behaviour (
  sweep bigint NOT NULL REFERENCES sweep (number) ON DELETE CASCADE,
  position bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  contrast_digest text COLLATE "C",
  vector_digest text COLLATE "C",
  questions_digest text COLLATE "C",
  pairs bigint,
  questions bigint,
  read text COLLATE "C" CHECK (read IN ('first-difference', 'answer-mean')),
  PRIMARY KEY (sweep, position),
  UNIQUE (sweep, name)
);
COMMENT ON TABLE behaviour IS 'The behaviours that a sweep steers towards.';
COMMENT ON COLUMN behaviour.sweep IS 'the sweep';
COMMENT ON COLUMN behaviour.position IS '0, 1, 2 ... in the sweep';
COMMENT ON COLUMN behaviour.name IS 'its name in results';
COMMENT ON COLUMN behaviour.contrast_digest IS 'the contrast set; null where the vector was given';
COMMENT ON COLUMN behaviour.vector_digest IS 'the vector file; null where the vector is extracted';
COMMENT ON COLUMN behaviour.questions_digest IS 'the evaluation questions';
COMMENT ON COLUMN behaviour.pairs IS 'contrast pairs used';
COMMENT ON COLUMN behaviour.questions IS 'questions used';
COMMENT ON COLUMN behaviour.read IS 'where the activations are read';

CREATE TABLE sae (
  task bigint NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  name text COLLATE "C" NOT NULL,
  layer bigint NOT NULL,
  width bigint,
  architecture text COLLATE "C",
  source text COLLATE "C" CHECK (source IN ('file', 'trained', 'untrained')),
  digest text COLLATE "C",
  l0 double precision,
  explained_variance double precision,
  dead_share double precision,
  tokens bigint,
  steps bigint,
  threshold double precision,
  PRIMARY KEY (task, name)
);
COMMENT ON TABLE sae IS 'A sparse autoencoder, as measured.';
COMMENT ON COLUMN sae.task IS 'the task that wrote the row';
COMMENT ON COLUMN sae.name IS 'its name in results';
COMMENT ON COLUMN sae.layer IS 'the layer that it reads';
COMMENT ON COLUMN sae.width IS 'number of features';
COMMENT ON COLUMN sae.architecture IS 'standard, jumprelu, topk, gated ...';
COMMENT ON COLUMN sae.source IS 'where it comes from';
COMMENT ON COLUMN sae.digest IS 'SHA-256 of its content';
COMMENT ON COLUMN sae.l0 IS 'mean number of active features of a token';
COMMENT ON COLUMN sae.explained_variance IS 'share of the activations'' variance';
COMMENT ON COLUMN sae.dead_share IS 'share of features that were never active';
COMMENT ON COLUMN sae.tokens IS 'tokens measured or trained on';
COMMENT ON COLUMN sae.steps IS 'training steps';
COMMENT ON COLUMN sae.threshold IS 'the threshold, where there is one for all features';

CREATE TABLE steering_vector (
  task bigint NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  behaviour text COLLATE "C" NOT NULL,
  layer bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  norm double precision,
  pairs bigint,
  cosine_with_original double precision,
  PRIMARY KEY (task, behaviour, layer, name)
);
COMMENT ON TABLE steering_vector IS 'A steering vector or control.';
COMMENT ON COLUMN steering_vector.task IS 'the task that wrote the row';
COMMENT ON COLUMN steering_vector.behaviour IS 'the behaviour';
COMMENT ON COLUMN steering_vector.layer IS 'the layer';
COMMENT ON COLUMN steering_vector.name IS 'original, pca, shuffled-0, random-0 ...';
COMMENT ON COLUMN steering_vector.norm IS 'its Euclidean norm';
COMMENT ON COLUMN steering_vector.pairs IS 'contrast pairs that it is made of';
COMMENT ON COLUMN steering_vector.cosine_with_original IS 'cosine with the original';

CREATE TABLE activation_statistics (
  task bigint NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  layer bigint NOT NULL,
  tokens bigint,
  excluded bigint,
  mean_norm double precision,
  norm_min double precision,
  norm_p01 double precision,
  norm_p05 double precision,
  norm_p25 double precision,
  norm_p50 double precision,
  norm_p75 double precision,
  norm_p95 double precision,
  norm_p99 double precision,
  norm_max double precision,
  mean_vector_norm double precision,
  norm_histogram text COLLATE "C",
  PRIMARY KEY (task, layer)
);
COMMENT ON TABLE activation_statistics IS
  'Activations of a layer on text: the distribution that vectors are compared with.';
COMMENT ON COLUMN activation_statistics.task IS 'the task that wrote the row';
COMMENT ON COLUMN activation_statistics.layer IS 'the layer';
COMMENT ON COLUMN activation_statistics.tokens IS 'tokens counted';
COMMENT ON COLUMN activation_statistics.excluded IS 'tokens left out: the first of a text, outliers';
COMMENT ON COLUMN activation_statistics.mean_norm IS 'mean Euclidean norm';
COMMENT ON COLUMN activation_statistics.norm_min IS 'smallest norm';
COMMENT ON COLUMN activation_statistics.norm_p01 IS 'percentiles of the norm, from here ...';
COMMENT ON COLUMN activation_statistics.norm_p05 IS '5th';
COMMENT ON COLUMN activation_statistics.norm_p25 IS '25th';
COMMENT ON COLUMN activation_statistics.norm_p50 IS 'median';
COMMENT ON COLUMN activation_statistics.norm_p75 IS '75th';
COMMENT ON COLUMN activation_statistics.norm_p95 IS '95th';
COMMENT ON COLUMN activation_statistics.norm_p99 IS '... to here';
COMMENT ON COLUMN activation_statistics.norm_max IS 'largest norm';
COMMENT ON COLUMN activation_statistics.mean_vector_norm IS 'norm of the mean activation';
COMMENT ON COLUMN activation_statistics.norm_histogram IS 'JSON {"edges": [...], "counts": [...]}';

CREATE TABLE decomposition (
  task bigint NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  behaviour text COLLATE "C" NOT NULL,
  layer bigint NOT NULL,
  sae text COLLATE "C" NOT NULL,
  width bigint,
  method text COLLATE "C" NOT NULL,
  sparsity text COLLATE "C" NOT NULL,
  convention text COLLATE "C" NOT NULL,
  input_convention text COLLATE "C" NOT NULL,
  configured bigint NOT NULL CHECK (configured IN (0, 1)),
  coefficient double precision NOT NULL,
  vector_norm double precision,
  norm_percentile double precision,
  l0 bigint,
  cosine double precision,
  relative_error double precision,
  norm_ratio double precision,
  negative_share double precision,
  zero_l0 bigint,
  zero_overlap double precision,
  zero_jaccard double precision,
  zero_mass_share double precision,
  zero_cosine double precision,
  top5_overlap double precision,
  top10_overlap double precision,
  top20_overlap double precision,
  top50_overlap double precision,
  top100_overlap double precision,
  bias_share double precision,
  negative_top100 bigint,
  negative_projection_top100 bigint,
  random_negative_top100 double precision,
  negative_energy double precision,
  spurious_features bigint,
  worst_spurious_feature bigint,
  worst_spurious_partner bigint,
  worst_spurious_cosine double precision,
  PRIMARY KEY (task, behaviour, layer, sae, method, sparsity, convention, input_convention, coefficient),
  CHECK (sparsity = 'all' OR sparsity ~ '^[0-9]{1,18}$')
);
COMMENT ON TABLE decomposition IS
  'A vector taken apart through an SAE by a method, cut to a sparsity, at a coefficient.';
COMMENT ON COLUMN decomposition.task IS 'the task that wrote the row';
COMMENT ON COLUMN decomposition.behaviour IS 'whose vector';
COMMENT ON COLUMN decomposition.layer IS 'the layer';
COMMENT ON COLUMN decomposition.sae IS 'the SAE''s name';
COMMENT ON COLUMN decomposition.width IS 'its number of features';
COMMENT ON COLUMN decomposition.method IS 'the method';
COMMENT ON COLUMN decomposition.sparsity IS 'the most features kept: a number, or all';
COMMENT ON COLUMN decomposition.convention IS 'with-bias or without-bias: whether b_dec is part of the reconstruction';
COMMENT ON COLUMN decomposition.input_convention IS 'b_dec-subtracted or b_dec-kept, on the encoder''s input';
COMMENT ON COLUMN decomposition.configured IS '1 where the input convention is what the SAE''s file says';
COMMENT ON COLUMN decomposition.coefficient IS 'the vector was multiplied by it';
COMMENT ON COLUMN decomposition.vector_norm IS 'the vector''s norm';
COMMENT ON COLUMN decomposition.norm_percentile IS 'its percentile (0..100) among activation norms';
COMMENT ON COLUMN decomposition.l0 IS 'features that are not zero';
COMMENT ON COLUMN decomposition.cosine IS 'of vector and reconstruction';
COMMENT ON COLUMN decomposition.relative_error IS '|vector - reconstruction| / |vector|';
COMMENT ON COLUMN decomposition.norm_ratio IS '|reconstruction| / |vector|';
COMMENT ON COLUMN decomposition.negative_share IS 'share of the sum of squares of the coefficients that is negative';
COMMENT ON COLUMN decomposition.zero_l0 IS 'active features of the zero vector';
COMMENT ON COLUMN decomposition.zero_overlap IS 'share of the vector''s active features that are active for zero too';
COMMENT ON COLUMN decomposition.zero_jaccard IS 'the same, over the union';
COMMENT ON COLUMN decomposition.zero_mass_share IS 'sum min(f(v), f(0)) / sum f(v)';
COMMENT ON COLUMN decomposition.zero_cosine IS 'cosine of the two codes';
COMMENT ON COLUMN decomposition.top5_overlap IS 'overlap of the 5 highest features with those of zero';
COMMENT ON COLUMN decomposition.top10_overlap IS 'of the 10 highest';
COMMENT ON COLUMN decomposition.top20_overlap IS 'of the 20 highest';
COMMENT ON COLUMN decomposition.top50_overlap IS 'of the 50 highest';
COMMENT ON COLUMN decomposition.top100_overlap IS 'of the 100 highest';
COMMENT ON COLUMN decomposition.bias_share IS 'share of the pre-activation that is bias, mean over active features';
COMMENT ON COLUMN decomposition.negative_top100 IS
  'of the 100 features that differ most between the pairs, those that differ negatively';
COMMENT ON COLUMN decomposition.negative_projection_top100 IS
  'of these, those with negative projections on encoder and decoder';
COMMENT ON COLUMN decomposition.random_negative_top100 IS 'the same for a random direction: the baseline';
COMMENT ON COLUMN decomposition.negative_energy IS 'energy of the code''s negative part';
COMMENT ON COLUMN decomposition.spurious_features IS 'active for the vector, yet silent on both sides of the pairs';
COMMENT ON COLUMN decomposition.worst_spurious_feature IS 'the one with the most anti-aligned partner';
COMMENT ON COLUMN decomposition.worst_spurious_partner IS 'that partner';
COMMENT ON COLUMN decomposition.worst_spurious_cosine IS 'their cosine';
CREATE INDEX decomposition_as_configured ON decomposition (behaviour, layer, sae, method, sparsity, convention)
  WHERE configured = 1 AND coefficient = 1;

CREATE TABLE decomposition_feature (
  task bigint NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  behaviour text COLLATE "C" NOT NULL,
  layer bigint NOT NULL,
  sae text COLLATE "C" NOT NULL,
  method text COLLATE "C" NOT NULL,
  sparsity text COLLATE "C" NOT NULL,
  convention text COLLATE "C" NOT NULL,
  rank bigint NOT NULL,
  feature bigint NOT NULL,
  coefficient double precision,
  projection double precision,
  in_zero_vector bigint CHECK (in_zero_vector IN (0, 1)),
  promoted_tokens text COLLATE "C",
  PRIMARY KEY (task, behaviour, layer, sae, method, sparsity, convention, rank)
);
COMMENT ON TABLE decomposition_feature IS 'A feature of a decomposition, by falling magnitude.';
COMMENT ON COLUMN decomposition_feature.task IS 'the task that wrote the row';
COMMENT ON COLUMN decomposition_feature.behaviour IS 'whose vector';
COMMENT ON COLUMN decomposition_feature.layer IS 'the layer';
COMMENT ON COLUMN decomposition_feature.sae IS 'the SAE''s name';
COMMENT ON COLUMN decomposition_feature.method IS 'the method';
COMMENT ON COLUMN decomposition_feature.sparsity IS 'the most features kept: a number, or all';
COMMENT ON COLUMN decomposition_feature.convention IS 'with-bias or without-bias';
COMMENT ON COLUMN decomposition_feature.rank IS 'its place';
COMMENT ON COLUMN decomposition_feature.feature IS 'its index in the SAE';
COMMENT ON COLUMN decomposition_feature.coefficient IS 'its coefficient in the code';
COMMENT ON COLUMN decomposition_feature.projection IS 'of the vector on its decoder direction';
COMMENT ON COLUMN decomposition_feature.in_zero_vector IS 'whether it is active for the zero vector too';
COMMENT ON COLUMN decomposition_feature.promoted_tokens IS
  'JSON list of the tokens that its decoder direction promotes';

CREATE TABLE evaluation (
  task bigint NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  behaviour text COLLATE "C" NOT NULL,
  layer bigint NOT NULL,
  variant text COLLATE "C" NOT NULL,
  sae text COLLATE "C",
  method text COLLATE "C",
  sparsity text COLLATE "C",
  convention text COLLATE "C",
  norm text COLLATE "C" NOT NULL,
  unit text COLLATE "C" NOT NULL,
  positions text COLLATE "C" NOT NULL,
  score text COLLATE "C" NOT NULL,
  coefficient double precision NOT NULL,
  n bigint,
  propensity double precision,
  propensity_error double precision,
  probability double precision,
  accuracy double precision,
  cross_entropy_change double precision
);
COMMENT ON TABLE evaluation IS 'What steering with a variant of a vector at a coefficient does.';
COMMENT ON COLUMN evaluation.task IS 'the task that wrote the row';
COMMENT ON COLUMN evaluation.behaviour IS 'the behaviour';
COMMENT ON COLUMN evaluation.layer IS 'the layer steered';
COMMENT ON COLUMN evaluation.variant IS 'original, reconstruction, zero-vector, random-0 ...';
COMMENT ON COLUMN evaluation.sae IS 'the SAE; null where none is involved, as with the next three';
COMMENT ON COLUMN evaluation.method IS 'the method';
COMMENT ON COLUMN evaluation.sparsity IS 'a number, or all';
COMMENT ON COLUMN evaluation.convention IS 'with-bias or without-bias';
COMMENT ON COLUMN evaluation.norm IS 'raw, or matched: rescaled to the original''s';
COMMENT ON COLUMN evaluation.unit IS 'what a coefficient of 1 is: vector or activation-norm';
COMMENT ON COLUMN evaluation.positions IS 'where the vector was added: scored, last or all';
COMMENT ON COLUMN evaluation.score IS 'per-token or sum';
COMMENT ON COLUMN evaluation.coefficient IS 'the coefficient';
COMMENT ON COLUMN evaluation.n IS 'questions';
COMMENT ON COLUMN evaluation.propensity IS 'mean of log P(matching answer) - log P(other answer)';
COMMENT ON COLUMN evaluation.propensity_error IS 'its standard error';
COMMENT ON COLUMN evaluation.probability IS 'mean probability of the matching answer against the other';
COMMENT ON COLUMN evaluation.accuracy IS 'share of questions whose matching answer is the likelier one';
COMMENT ON COLUMN evaluation.cross_entropy_change IS 'on neutral text, nats a token';
-- A digest of what names a row: the names themselves would make the index larger than the table. No name has a \x1f.
CREATE UNIQUE INDEX evaluation_once ON evaluation (
  task, (md5(behaviour || E'\x1f' || layer::text || E'\x1f' || variant || E'\x1f' || coalesce(sae, '')
    || E'\x1f' || coalesce(method, '') || E'\x1f' || coalesce(sparsity, '')
    || E'\x1f' || coalesce(convention, '') || E'\x1f' || norm || E'\x1f' || unit || E'\x1f' || positions
    || E'\x1f' || score || E'\x1f' || encode(float8send(coefficient + 0), 'hex'))::uuid));

CREATE TABLE steerability_score (
  task bigint NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  behaviour text COLLATE "C" NOT NULL,
  layer bigint NOT NULL,
  variant text COLLATE "C" NOT NULL,
  sae text COLLATE "C",
  method text COLLATE "C",
  sparsity text COLLATE "C",
  convention text COLLATE "C",
  norm text COLLATE "C" NOT NULL,
  unit text COLLATE "C" NOT NULL,
  positions text COLLATE "C" NOT NULL,
  score text COLLATE "C" NOT NULL,
  n bigint,
  slope double precision,
  slope_error double precision,
  anti_steerable_share double precision,
  spearman double precision,
  slope_letter_a double precision,
  slope_letter_b double precision
);
COMMENT ON TABLE steerability_score IS 'How strongly a variant of a vector steers.';
COMMENT ON COLUMN steerability_score.task IS 'the task that wrote the row';
COMMENT ON COLUMN steerability_score.behaviour IS 'the behaviour';
COMMENT ON COLUMN steerability_score.layer IS 'the layer steered';
COMMENT ON COLUMN steerability_score.variant IS 'original, reconstruction, zero-vector, random-0 ...';
COMMENT ON COLUMN steerability_score.sae IS 'the SAE; null where none is involved, as with the next three';
COMMENT ON COLUMN steerability_score.method IS 'the method';
COMMENT ON COLUMN steerability_score.sparsity IS 'a number, or all';
COMMENT ON COLUMN steerability_score.convention IS 'with-bias or without-bias';
COMMENT ON COLUMN steerability_score.norm IS 'raw, or matched: rescaled to the original''s';
COMMENT ON COLUMN steerability_score.unit IS 'what a coefficient of 1 is: vector or activation-norm';
COMMENT ON COLUMN steerability_score.positions IS 'where the vector was added: scored, last or all';
COMMENT ON COLUMN steerability_score.score IS 'per-token or sum';
COMMENT ON COLUMN steerability_score.n IS 'questions';
COMMENT ON COLUMN steerability_score.slope IS 'mean over questions of the slope of propensity on coefficient';
COMMENT ON COLUMN steerability_score.slope_error IS 'its standard error';
COMMENT ON COLUMN steerability_score.anti_steerable_share IS 'share of questions with a negative slope';
COMMENT ON COLUMN steerability_score.spearman IS 'rank correlation of the mean curve';
COMMENT ON COLUMN steerability_score.slope_letter_a IS 'the slope where the first letter matched';
COMMENT ON COLUMN steerability_score.slope_letter_b IS 'the slope where the second letter matched';
CREATE UNIQUE INDEX steerability_score_once ON steerability_score (
  task, (md5(behaviour || E'\x1f' || layer::text || E'\x1f' || variant || E'\x1f' || coalesce(sae, '')
    || E'\x1f' || coalesce(method, '') || E'\x1f' || coalesce(sparsity, '')
    || E'\x1f' || coalesce(convention, '') || E'\x1f' || norm || E'\x1f' || unit || E'\x1f' || positions
    || E'\x1f' || score)::uuid));

CREATE TABLE evaluation_question (
  task bigint NOT NULL REFERENCES task (id) ON DELETE CASCADE,
  behaviour text COLLATE "C" NOT NULL,
  layer bigint NOT NULL,
  variant text COLLATE "C" NOT NULL,
  sae text COLLATE "C",
  method text COLLATE "C",
  sparsity text COLLATE "C",
  convention text COLLATE "C",
  norm text COLLATE "C" NOT NULL,
  question bigint NOT NULL,
  coefficient double precision NOT NULL,
  propensity double precision,
  probability double precision
);
COMMENT ON TABLE evaluation_question IS 'One question at one coefficient; only with "keep: questions".';
COMMENT ON COLUMN evaluation_question.task IS 'the task that wrote the row';
COMMENT ON COLUMN evaluation_question.behaviour IS 'the behaviour';
COMMENT ON COLUMN evaluation_question.layer IS 'the layer steered';
COMMENT ON COLUMN evaluation_question.variant IS 'original, reconstruction, zero-vector, random-0 ...';
COMMENT ON COLUMN evaluation_question.sae IS 'the SAE; null where none is involved, as with the next three';
COMMENT ON COLUMN evaluation_question.method IS 'the method';
COMMENT ON COLUMN evaluation_question.sparsity IS 'a number, or all';
COMMENT ON COLUMN evaluation_question.convention IS 'with-bias or without-bias';
COMMENT ON COLUMN evaluation_question.norm IS 'raw, or matched: rescaled to the original''s';
COMMENT ON COLUMN evaluation_question.question IS 'its index';
COMMENT ON COLUMN evaluation_question.coefficient IS 'the coefficient';
COMMENT ON COLUMN evaluation_question.propensity IS 'log P(matching answer) - log P(other answer)';
COMMENT ON COLUMN evaluation_question.probability IS 'of the matching answer against the other';
CREATE UNIQUE INDEX evaluation_question_once ON evaluation_question (
  task, (md5(behaviour || E'\x1f' || layer::text || E'\x1f' || variant || E'\x1f' || coalesce(sae, '')
    || E'\x1f' || coalesce(method, '') || E'\x1f' || coalesce(sparsity, '')
    || E'\x1f' || coalesce(convention, '') || E'\x1f' || norm || E'\x1f' || question::text
    || E'\x1f' || encode(float8send(coefficient + 0), 'hex'))::uuid));

-- Every view can be asked for one sweep, by name or by id, and then reads that sweep only: where a view computes
-- windows or groups, name and id are part of them, so that the condition is applied to the tables.
-- (`+ 0` hides the reference from the planner: it would take every sweep for one of average size, and one of ten
-- million tasks among them would make it read whole tables for the small ones.)

CREATE VIEW steering_curve AS
SELECT s.name AS sweep, s.id AS sweep_id, e.behaviour, e.layer, e.variant, e.sae, e.method, e.sparsity, e.convention,
  e.norm, e.coefficient, e.propensity, e.propensity_error, e.n, e.probability, e.accuracy, e.cross_entropy_change,
  e.unit, e.positions, e.score
FROM sweep s
JOIN sweep_task st ON st.sweep = s.number + 0
JOIN evaluation e ON e.task = st.task;
COMMENT ON VIEW steering_curve IS 'One row: a variant of a vector at a coefficient.';
COMMENT ON COLUMN steering_curve.sweep IS 'the sweep''s name';
COMMENT ON COLUMN steering_curve.sweep_id IS 'the sweep''s id';
COMMENT ON COLUMN steering_curve.behaviour IS 'the behaviour';
COMMENT ON COLUMN steering_curve.layer IS 'the layer steered';
COMMENT ON COLUMN steering_curve.variant IS 'original, reconstruction, zero-vector, random-0 ...';
COMMENT ON COLUMN steering_curve.sae IS 'the SAE; null where none is involved, as with the next three';
COMMENT ON COLUMN steering_curve.method IS 'the method';
COMMENT ON COLUMN steering_curve.sparsity IS 'the most features kept: a number, or all';
COMMENT ON COLUMN steering_curve.convention IS 'with-bias or without-bias';
COMMENT ON COLUMN steering_curve.norm IS 'raw, or matched: rescaled to the original''s';
COMMENT ON COLUMN steering_curve.coefficient IS 'the coefficient';
COMMENT ON COLUMN steering_curve.propensity IS 'mean of log P(matching answer) - log P(other answer)';
COMMENT ON COLUMN steering_curve.propensity_error IS 'its standard error';
COMMENT ON COLUMN steering_curve.n IS 'questions';
COMMENT ON COLUMN steering_curve.probability IS 'mean probability of the matching answer against the other';
COMMENT ON COLUMN steering_curve.accuracy IS 'share of questions whose matching answer is the likelier one';
COMMENT ON COLUMN steering_curve.cross_entropy_change IS 'on neutral text, nats a token';
COMMENT ON COLUMN steering_curve.unit IS 'what a coefficient of 1 is: vector or activation-norm';
COMMENT ON COLUMN steering_curve.positions IS 'where the vector was added: scored, last or all';
COMMENT ON COLUMN steering_curve.score IS 'per-token or sum';

CREATE VIEW steerability AS
WITH scored AS (
  SELECT s.name AS sweep, s.id AS sweep_id, r.*,
    first_value(CASE WHEN r.variant = 'original' THEN r.slope END) OVER same AS original_slope,
    first_value(CASE WHEN r.variant = 'original' THEN r.slope_error END) OVER same AS original_slope_error
  FROM sweep s
  JOIN sweep_task st ON st.sweep = s.number + 0
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
COMMENT ON VIEW steerability IS
  'One row: a variant of a vector; beside its slope that of the original (raw norm first) and the ratio of the '
  'two, which is null where the original''s slope is not different from 0.';
COMMENT ON COLUMN steerability.sweep IS 'the sweep''s name';
COMMENT ON COLUMN steerability.sweep_id IS 'the sweep''s id';
COMMENT ON COLUMN steerability.behaviour IS 'the behaviour';
COMMENT ON COLUMN steerability.layer IS 'the layer steered';
COMMENT ON COLUMN steerability.variant IS 'original, reconstruction, zero-vector, random-0 ...';
COMMENT ON COLUMN steerability.sae IS 'the SAE; null where none is involved, as with the next three';
COMMENT ON COLUMN steerability.method IS 'the method';
COMMENT ON COLUMN steerability.sparsity IS 'the most features kept: a number, or all';
COMMENT ON COLUMN steerability.convention IS 'with-bias or without-bias';
COMMENT ON COLUMN steerability.norm IS 'raw, or matched: rescaled to the original''s';
COMMENT ON COLUMN steerability.slope IS 'mean over questions of the slope of propensity on coefficient';
COMMENT ON COLUMN steerability.slope_error IS 'its standard error';
COMMENT ON COLUMN steerability.anti_steerable_share IS 'share of questions with a negative slope';
COMMENT ON COLUMN steerability.spearman IS 'rank correlation of the mean curve';
COMMENT ON COLUMN steerability.n IS 'questions';
COMMENT ON COLUMN steerability.slope_letter_a IS 'the slope where the first letter matched';
COMMENT ON COLUMN steerability.slope_letter_b IS 'the slope where the second letter matched';
COMMENT ON COLUMN steerability.original_slope IS 'the slope of the original vector';
COMMENT ON COLUMN steerability.original_slope_error IS 'its standard error';
COMMENT ON COLUMN steerability.relative_slope IS 'slope / original_slope; null where that is not different from 0';
COMMENT ON COLUMN steerability.unit IS 'what a coefficient of 1 is: vector or activation-norm';
COMMENT ON COLUMN steerability.positions IS 'where the vector was added: scored, last or all';
COMMENT ON COLUMN steerability.score IS 'per-token or sum';

CREATE VIEW faithfulness AS
WITH piece AS (
  SELECT sweep, sweep_id, behaviour, layer, sae, method, sparsity, convention, 1 AS is_score, norm, relative_slope,
    slope, slope_error, original_slope, original_slope_error, anti_steerable_share, n, unit, positions, score,
    CAST(NULL AS bigint) AS width, CAST(NULL AS double precision) AS cosine,
    CAST(NULL AS double precision) AS relative_error, CAST(NULL AS double precision) AS norm_ratio,
    CAST(NULL AS bigint) AS l0
  FROM steerability
  WHERE variant = 'reconstruction'
  UNION ALL
  SELECT s.name, s.id, d.behaviour, d.layer, d.sae, d.method, d.sparsity, d.convention, 0, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, d.width, d.cosine, d.relative_error, d.norm_ratio, d.l0
  FROM sweep s
  JOIN sweep_task st ON st.sweep = s.number + 0
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
COMMENT ON VIEW faithfulness IS
  'One row: a reconstruction. Faithfulness is its slope / the original''s; null where |original''s| < 1.96 '
  'standard errors.';
COMMENT ON COLUMN faithfulness.sweep IS 'the sweep''s name';
COMMENT ON COLUMN faithfulness.sweep_id IS 'the sweep''s id';
COMMENT ON COLUMN faithfulness.behaviour IS 'the behaviour';
COMMENT ON COLUMN faithfulness.layer IS 'the layer steered';
COMMENT ON COLUMN faithfulness.sae IS 'the SAE';
COMMENT ON COLUMN faithfulness.width IS 'its number of features';
COMMENT ON COLUMN faithfulness.method IS 'the method';
COMMENT ON COLUMN faithfulness.sparsity IS 'the most features kept: a number, or all';
COMMENT ON COLUMN faithfulness.convention IS 'with-bias or without-bias';
COMMENT ON COLUMN faithfulness.norm IS 'raw, or matched: rescaled to the original''s';
COMMENT ON COLUMN faithfulness.faithfulness IS
  'the reconstruction''s slope / the original''s; null where that is not different from 0';
COMMENT ON COLUMN faithfulness.cosine IS 'of vector and reconstruction';
COMMENT ON COLUMN faithfulness.relative_error IS '|vector - reconstruction| / |vector|';
COMMENT ON COLUMN faithfulness.norm_ratio IS '|reconstruction| / |vector|';
COMMENT ON COLUMN faithfulness.l0 IS 'features that are not zero';
COMMENT ON COLUMN faithfulness.slope IS 'mean over questions of the slope of propensity on coefficient';
COMMENT ON COLUMN faithfulness.slope_error IS 'its standard error';
COMMENT ON COLUMN faithfulness.original_slope IS 'the slope of the original vector';
COMMENT ON COLUMN faithfulness.original_slope_error IS 'its standard error';
COMMENT ON COLUMN faithfulness.anti_steerable_share IS 'share of questions with a negative slope';
COMMENT ON COLUMN faithfulness.n IS 'questions';
COMMENT ON COLUMN faithfulness.unit IS 'what a coefficient of 1 is: vector or activation-norm';
COMMENT ON COLUMN faithfulness.positions IS 'where the vector was added: scored, last or all';
COMMENT ON COLUMN faithfulness.score IS 'per-token or sum';

CREATE VIEW bias_dominance AS
WITH encoded AS (
  SELECT s.name AS sweep, s.id AS sweep_id, d.*,
    row_number() OVER (
      PARTITION BY s.name, s.id, d.behaviour, d.layer, d.sae
      ORDER BY CASE WHEN d.sparsity = 'all' THEN 2147483647 ELSE CAST(d.sparsity AS bigint) END DESC, d.convention,
        d.task
    ) AS choice
  FROM sweep s
  JOIN sweep_task st ON st.sweep = s.number + 0
  JOIN decomposition d ON d.task = st.task
  WHERE d.method = 'encode' AND d.configured = 1 AND d.coefficient = 1
)
SELECT sweep, sweep_id, behaviour, layer, sae, width, vector_norm, norm_percentile, l0, zero_l0, zero_overlap,
  zero_jaccard, zero_mass_share, zero_cosine, bias_share, top5_overlap, top10_overlap, top20_overlap, top50_overlap,
  top100_overlap, input_convention
FROM encoded
WHERE choice = 1;
COMMENT ON VIEW bias_dominance IS
  'One row: a vector and an SAE. How much of the encoder''s answer (its fullest code stored) is the bias speaking.';
COMMENT ON COLUMN bias_dominance.sweep IS 'the sweep''s name';
COMMENT ON COLUMN bias_dominance.sweep_id IS 'the sweep''s id';
COMMENT ON COLUMN bias_dominance.behaviour IS 'whose vector';
COMMENT ON COLUMN bias_dominance.layer IS 'the layer';
COMMENT ON COLUMN bias_dominance.sae IS 'the SAE''s name';
COMMENT ON COLUMN bias_dominance.width IS 'its number of features';
COMMENT ON COLUMN bias_dominance.vector_norm IS 'the vector''s norm';
COMMENT ON COLUMN bias_dominance.norm_percentile IS 'its percentile (0..100) among activation norms';
COMMENT ON COLUMN bias_dominance.l0 IS 'features that are not zero';
COMMENT ON COLUMN bias_dominance.zero_l0 IS 'active features of the zero vector';
COMMENT ON COLUMN bias_dominance.zero_overlap IS 'share of the vector''s active features that are active for zero too';
COMMENT ON COLUMN bias_dominance.zero_jaccard IS 'the same, over the union';
COMMENT ON COLUMN bias_dominance.zero_mass_share IS 'sum min(f(v), f(0)) / sum f(v)';
COMMENT ON COLUMN bias_dominance.zero_cosine IS 'cosine of the two codes';
COMMENT ON COLUMN bias_dominance.bias_share IS 'share of the pre-activation that is bias, mean over active features';
COMMENT ON COLUMN bias_dominance.top5_overlap IS 'overlap of the 5 highest features with those of zero';
COMMENT ON COLUMN bias_dominance.top10_overlap IS 'of the 10 highest';
COMMENT ON COLUMN bias_dominance.top20_overlap IS 'of the 20 highest';
COMMENT ON COLUMN bias_dominance.top50_overlap IS 'of the 50 highest';
COMMENT ON COLUMN bias_dominance.top100_overlap IS 'of the 100 highest';
COMMENT ON COLUMN bias_dominance.input_convention IS 'b_dec-subtracted or b_dec-kept, on the encoder''s input';

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
  JOIN sweep_task st ON st.sweep = s.number + 0
  JOIN decomposition d ON d.task = st.task
  WHERE d.configured = 1 AND d.coefficient = 1
  WINDOW vector AS (PARTITION BY s.name, s.id, d.behaviour, d.layer, d.sae),
    signed AS (
      PARTITION BY s.name, s.id, d.behaviour, d.layer, d.sae
      ORDER BY CASE WHEN d.negative_energy IS NULL THEN 1 ELSE 0 END,
        CASE WHEN d.method = 'gradient-pursuit-signed' THEN 0 WHEN d.method LIKE '%-signed' THEN 1 ELSE 2 END,
        CASE WHEN d.sparsity = 'all' THEN 2147483647 ELSE CAST(d.sparsity AS bigint) END DESC, d.method, d.convention,
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
COMMENT ON VIEW negative_projections IS
  'One row: a vector and an SAE. What an encoder can''t say: negative projections; the energy is that of a signed '
  'code, whose method and sparsity stand beside it.';
COMMENT ON COLUMN negative_projections.sweep IS 'the sweep''s name';
COMMENT ON COLUMN negative_projections.sweep_id IS 'the sweep''s id';
COMMENT ON COLUMN negative_projections.behaviour IS 'whose vector';
COMMENT ON COLUMN negative_projections.layer IS 'the layer';
COMMENT ON COLUMN negative_projections.sae IS 'the SAE''s name';
COMMENT ON COLUMN negative_projections.width IS 'its number of features';
COMMENT ON COLUMN negative_projections.negative_top100 IS
  'of the 100 features that differ most between the pairs, those that differ negatively';
COMMENT ON COLUMN negative_projections.negative_projection_top100 IS
  'of these, those with negative projections on encoder and decoder';
COMMENT ON COLUMN negative_projections.random_negative_top100 IS 'the same for a random direction: the baseline';
COMMENT ON COLUMN negative_projections.negative_energy IS 'energy of a signed code''s negative part';
COMMENT ON COLUMN negative_projections.energy_method IS 'the method whose code the energy is of';
COMMENT ON COLUMN negative_projections.energy_sparsity IS 'that code''s sparsity';
COMMENT ON COLUMN negative_projections.spurious_features IS
  'active for the vector, yet silent on both sides of the pairs';
COMMENT ON COLUMN negative_projections.worst_spurious_feature IS 'the feature with the most anti-aligned partner';
COMMENT ON COLUMN negative_projections.worst_spurious_partner IS 'that partner';
COMMENT ON COLUMN negative_projections.worst_spurious_cosine IS 'their cosine';

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
COMMENT ON VIEW best_method IS
  'One row: a method at a sparsity, for a behaviour and layer, by its best SAE and convention at matched norm; '
  'rank 1 is best.';
COMMENT ON COLUMN best_method.sweep IS 'the sweep''s name';
COMMENT ON COLUMN best_method.sweep_id IS 'the sweep''s id';
COMMENT ON COLUMN best_method.behaviour IS 'the behaviour';
COMMENT ON COLUMN best_method.layer IS 'the layer steered';
COMMENT ON COLUMN best_method.sparsity IS 'the most features kept: a number, or all';
COMMENT ON COLUMN best_method.rank IS '1 for the most faithful method at this sparsity';
COMMENT ON COLUMN best_method.method IS 'the method';
COMMENT ON COLUMN best_method.sae IS 'the SAE that served the method best';
COMMENT ON COLUMN best_method.width IS 'its number of features';
COMMENT ON COLUMN best_method.convention IS 'with-bias or without-bias, whichever served the method best';
COMMENT ON COLUMN best_method.faithfulness IS
  'the reconstruction''s slope / the original''s; null where that is not different from 0';
COMMENT ON COLUMN best_method.cosine IS 'of vector and reconstruction';
COMMENT ON COLUMN best_method.relative_error IS '|vector - reconstruction| / |vector|';
COMMENT ON COLUMN best_method.l0 IS 'features that are not zero';
COMMENT ON COLUMN best_method.unit IS 'what a coefficient of 1 is: vector or activation-norm';
COMMENT ON COLUMN best_method.positions IS 'where the vector was added: scored, last or all';
COMMENT ON COLUMN best_method.score IS 'per-token or sum';

CREATE VIEW sweep_progress AS
SELECT s.name AS sweep, s.id AS sweep_id, s.state, s.priority, t.kind, count(*) AS tasks,
  count(*) FILTER (WHERE t.state = 'blocked') AS blocked,
  count(*) FILTER (WHERE t.state = 'ready') AS ready,
  count(*) FILTER (WHERE t.state = 'queued') AS queued,
  count(*) FILTER (WHERE t.state = 'running') AS running,
  count(*) FILTER (WHERE t.state = 'done') AS done,
  count(*) FILTER (WHERE t.state = 'parked') AS parked,
  count(*) FILTER (WHERE t.state = 'cancelled') AS cancelled
FROM sweep s
JOIN sweep_task st ON st.sweep = s.number + 0
JOIN task t ON t.id = st.task
GROUP BY s.number, s.name, s.id, s.state, s.priority, t.kind;
COMMENT ON VIEW sweep_progress IS 'One row: a kind of task in a sweep, and how many are in which state.';
COMMENT ON COLUMN sweep_progress.sweep IS 'the sweep''s name';
COMMENT ON COLUMN sweep_progress.sweep_id IS 'the sweep''s id';
COMMENT ON COLUMN sweep_progress.state IS 'the sweep''s state';
COMMENT ON COLUMN sweep_progress.priority IS 'the sweep''s priority';
COMMENT ON COLUMN sweep_progress.kind IS 'the kind of task';
COMMENT ON COLUMN sweep_progress.tasks IS 'how many tasks of the kind';
COMMENT ON COLUMN sweep_progress.blocked IS 'how many wait for others';
COMMENT ON COLUMN sweep_progress.ready IS 'how many could be dispatched';
COMMENT ON COLUMN sweep_progress.queued IS 'how many were dispatched';
COMMENT ON COLUMN sweep_progress.running IS 'how many are in a worker''s hands';
COMMENT ON COLUMN sweep_progress.done IS 'how many are done';
COMMENT ON COLUMN sweep_progress.parked IS 'how many failed for good';
COMMENT ON COLUMN sweep_progress.cancelled IS 'how many were cancelled';

CREATE VIEW worker_activity AS
SELECT w.id AS worker, w.host, w.process, w.version, w.threads, w.condition, w.reason,
  date_trunc('second', w.started_at) AS started_at, date_trunc('second', w.seen_at) AS seen_at,
  coalesce(a.running, 0) AS running, coalesce(a.done, 0) AS done, coalesce(a.failed, 0) AS failed,
  coalesce(a.expired, 0) AS expired, coalesce(a.given_back, 0) AS given_back,
  coalesce(extract(epoch FROM a.busy)::double precision, 0) AS busy_seconds
FROM worker w
LEFT JOIN (
  -- In two steps, of which the first reads an index in its order, side by side.
  SELECT worker, (sum(attempts) FILTER (WHERE outcome IS NULL))::bigint AS running,
    (sum(attempts) FILTER (WHERE outcome = 'done'))::bigint AS done,
    (sum(attempts) FILTER (WHERE outcome = 'failed'))::bigint AS failed,
    (sum(attempts) FILTER (WHERE outcome = 'expired'))::bigint AS expired,
    (sum(attempts) FILTER (WHERE outcome IN ('released', 'cancelled')))::bigint AS given_back, sum(busy) AS busy
  FROM (
    SELECT worker, outcome, count(*) AS attempts, sum(ended_at - started_at) AS busy
    FROM task_attempt GROUP BY worker, outcome) o
  GROUP BY worker
) a ON a.worker = w.id;
COMMENT ON VIEW worker_activity IS 'One row: a worker, and what became of its attempts.';
COMMENT ON COLUMN worker_activity.worker IS 'the worker''s id';
COMMENT ON COLUMN worker_activity.host IS 'the machine''s name';
COMMENT ON COLUMN worker_activity.process IS 'the process id there';
COMMENT ON COLUMN worker_activity.version IS 'the program''s version';
COMMENT ON COLUMN worker_activity.threads IS 'threads that it computes with';
COMMENT ON COLUMN worker_activity.condition IS 'how it is';
COMMENT ON COLUMN worker_activity.reason IS 'when unready: why';
COMMENT ON COLUMN worker_activity.started_at IS 'when it registered';
COMMENT ON COLUMN worker_activity.seen_at IS 'its last heartbeat';
COMMENT ON COLUMN worker_activity.running IS 'attempts under way';
COMMENT ON COLUMN worker_activity.done IS 'attempts that were finished';
COMMENT ON COLUMN worker_activity.failed IS 'attempts that failed';
COMMENT ON COLUMN worker_activity.expired IS 'attempts whose lease was taken away';
COMMENT ON COLUMN worker_activity.given_back IS 'attempts that were given back or cancelled';
COMMENT ON COLUMN worker_activity.busy_seconds IS 'seconds spent on attempts that have ended';

CREATE VIEW parked_task AS
SELECT s.name AS sweep, s.id AS sweep_id, t.id AS task, t.kind, t.layer, t.title, t.error, t.failures,
  date_trunc('second', t.ended_at) AS parked_at, t.key
FROM sweep s
JOIN sweep_task st ON st.sweep = s.number + 0
JOIN task t ON t.id = st.task
WHERE t.state = 'parked';
COMMENT ON VIEW parked_task IS 'One row: a task that failed for good, in a sweep that wants it.';
COMMENT ON COLUMN parked_task.sweep IS 'the sweep''s name';
COMMENT ON COLUMN parked_task.sweep_id IS 'the sweep''s id';
COMMENT ON COLUMN parked_task.task IS 'the task''s number';
COMMENT ON COLUMN parked_task.kind IS 'the kind of task';
COMMENT ON COLUMN parked_task.layer IS 'the layer that it is about; null when about several';
COMMENT ON COLUMN parked_task.title IS 'in words';
COMMENT ON COLUMN parked_task.error IS 'the last failure''s message';
COMMENT ON COLUMN parked_task.failures IS 'failed attempts since it was last revived';
COMMENT ON COLUMN parked_task.parked_at IS 'when it was parked';
COMMENT ON COLUMN parked_task.key IS 'SHA-256 of kind, inputs, parameters and numerics version';

