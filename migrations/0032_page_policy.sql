-- When the last word of Meta's about blocking the Page was said: an older one that comes late, or once
-- more, changes nothing.
ALTER TABLE pages ADD COLUMN policy_at BIGINT;
