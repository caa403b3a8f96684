-- What a worker used when it was last heard of: where the kernel ends one for its memory, this is what is known.

ALTER TABLE worker ADD COLUMN memory_used INTEGER; -- bytes of memory of its own at its last heartbeat; null where unknown
ALTER TABLE worker ADD COLUMN memory_limit INTEGER; -- bytes at which the system would end it; null where unknown
