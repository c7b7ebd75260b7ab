-- A reading of Meta's list of subscription tokens that is under way: since when, and until when
-- nobody else begins one (after a failure: until it is tried again). `tokens_synced_at` is when
-- the last reading began that came to its end.
ALTER TABLE pages ADD COLUMN tokens_reading_since BIGINT;
ALTER TABLE pages ADD COLUMN tokens_reading_until BIGINT;
