-- What a worker used when it was last heard of: where the kernel ends one for its memory, this is what is known.
SET LOCAL search_path TO steerscope;

ALTER TABLE worker ADD COLUMN memory_used bigint;
ALTER TABLE worker ADD COLUMN memory_limit bigint;
COMMENT ON COLUMN worker.memory_used IS 'bytes of memory of its own at its last heartbeat; null where unknown';
COMMENT ON COLUMN worker.memory_limit IS 'bytes at which the system would end it; null where unknown';
