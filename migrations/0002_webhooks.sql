-- The inbox: every webhook that was answered 200, whole, until it is processed and after.
-- `encoding` is 'utf8', or 'base64' for bodies that are not text.
CREATE TABLE webhooks (
    id BIGINT PRIMARY KEY,
    platform TEXT NOT NULL,
    external_id TEXT NOT NULL,
    topic TEXT NOT NULL,
    account TEXT NOT NULL,
    triggered_at BIGINT,
    encoding TEXT NOT NULL DEFAULT 'utf8',
    payload TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    processed_at BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0,
    retry_at BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    workspace_id BIGINT,
    UNIQUE (platform, external_id)
);
CREATE INDEX webhooks_open ON webhooks (retry_at, id) WHERE processed_at IS NULL;
CREATE INDEX webhooks_failed ON webhooks (id) WHERE error IS NOT NULL;
CREATE INDEX webhooks_workspace ON webhooks (workspace_id, id);
CREATE INDEX webhooks_received ON webhooks (received_at);

-- Single events inside batched deliveries, so that a repeat in another batch changes nothing.
CREATE TABLE seen_events (
    workspace_id BIGINT NOT NULL,
    event_key TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, event_key)
);
CREATE INDEX seen_events_age ON seen_events (seen_at);
