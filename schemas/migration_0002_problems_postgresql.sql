-- Why a sweep can't go on; live workers among many.
SET LOCAL search_path TO steerscope;

ALTER TABLE sweep ADD COLUMN problem text COLLATE "C";
COMMENT ON COLUMN sweep.problem IS 'why it can''t go on, in words; null when all is well';
CREATE INDEX worker_by_seen ON worker (seen_at);
