-- How a Page is: what kind of trouble it is in (access, role, terms, removed, blocked), how often
-- in a row, what the last check found (JSON), and when it is looked at next.
ALTER TABLE pages ADD COLUMN trouble TEXT;
ALTER TABLE pages ADD COLUMN troubles BIGINT NOT NULL DEFAULT 0;
ALTER TABLE pages ADD COLUMN health TEXT;
ALTER TABLE pages ADD COLUMN checked_at BIGINT;
ALTER TABLE pages ADD COLUMN check_due_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX pages_check ON pages (check_due_at) WHERE disconnected_at IS NULL;
