-- Who took slots last, and until when the Page counts as shared by several workers: then a call
-- that comes too late for its slot takes a new one.
ALTER TABLE paces ADD COLUMN taken_by BIGINT NOT NULL DEFAULT 0;
ALTER TABLE paces ADD COLUMN shared_until BIGINT NOT NULL DEFAULT 0;
