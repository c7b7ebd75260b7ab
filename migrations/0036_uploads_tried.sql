-- An upload that is under way or failed for now: nobody begins it before then, and how many tries
-- it has used up. `uploaded_at` is 0 until it is there.
ALTER TABLE uploads ADD COLUMN trying_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
