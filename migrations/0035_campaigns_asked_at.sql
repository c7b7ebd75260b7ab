-- When a person last said that the campaign goes out: scheduled it, or resumed it.
ALTER TABLE campaigns ADD COLUMN asked_at BIGINT;
UPDATE campaigns SET asked_at = updated_at WHERE status IN ('scheduled', 'preparing');
