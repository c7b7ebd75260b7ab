-- The plan at Shopify, as last read there: rows only for shops that are billed by Shopify. `name` is
-- NULL without a subscription. After a downgrade the former plan holds until `grace_until`.
CREATE TABLE plans (
    workspace_id BIGINT PRIMARY KEY REFERENCES workspaces (id),
    name TEXT,
    read_at BIGINT,
    due_at BIGINT NOT NULL,
    grace_name TEXT,
    grace_until BIGINT
);
CREATE INDEX plans_due ON plans (due_at);
