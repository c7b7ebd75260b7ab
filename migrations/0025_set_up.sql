-- What the merchant said in the guided set-up. What is done is not kept here: the rows of shop, Page,
-- Klaviyo, opt-in links and campaigns say it. `skipped` has names of steps, separated by commas.
CREATE TABLE set_ups (
    workspace_id BIGINT PRIMARY KEY REFERENCES workspaces (id),
    left_at BIGINT,
    skipped TEXT NOT NULL DEFAULT '',
    placed_at BIGINT
);
