-- Where a workspace wants to be told of trouble, and what is to be told.
CREATE TABLE alert_hooks (
    workspace_id BIGINT PRIMARY KEY REFERENCES workspaces (id),
    url TEXT NOT NULL,
    secret_sealed TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE alerts (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    body TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    created_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX alerts_due ON alerts (due_at) WHERE ended_at IS NULL;
CREATE INDEX alerts_workspace ON alerts (workspace_id, id);
