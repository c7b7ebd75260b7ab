-- The id of what the request makes, chosen with the claim: who takes the key over after a crash finds
-- what was made before it.
ALTER TABLE idempotency_keys ADD COLUMN new_id BIGINT;
