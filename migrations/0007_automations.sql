-- `status` is 'on' or 'off'. `trigger_kind` and `trigger_key` repeat the trigger's JSON for look-ups.
CREATE TABLE automations (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    name TEXT NOT NULL,
    trigger_kind TEXT NOT NULL,
    trigger_key TEXT NOT NULL DEFAULT '',
    trigger_json TEXT NOT NULL,
    steps TEXT NOT NULL,
    stop_on_order BIGINT NOT NULL DEFAULT 1,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE INDEX automations_trigger ON automations (workspace_id, trigger_kind, trigger_key);

-- One subscriber in an automation; `trigger_ref` (checkout, event id) makes a second start harmless.
CREATE TABLE runs (
    id BIGINT PRIMARY KEY,
    automation_id BIGINT NOT NULL REFERENCES automations (id),
    workspace_id BIGINT NOT NULL,
    subscriber_id BIGINT NOT NULL REFERENCES subscribers (id),
    trigger_ref TEXT NOT NULL,
    context TEXT NOT NULL,
    triggered_at BIGINT NOT NULL,
    step BIGINT NOT NULL DEFAULT 0,
    status TEXT NOT NULL DEFAULT 'waiting',
    reason TEXT,
    due_at BIGINT NOT NULL,
    ended_at BIGINT,
    UNIQUE (automation_id, subscriber_id, trigger_ref)
);
CREATE INDEX runs_due ON runs (due_at) WHERE status = 'waiting';
CREATE INDEX runs_automation ON runs (automation_id, status);
CREATE INDEX runs_subscriber ON runs (subscriber_id);

-- Shopify has no event for an abandoned checkout: we keep checkouts and look at what was left.
CREATE TABLE checkouts (
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    token TEXT NOT NULL,
    cart_token TEXT,
    customer_id TEXT,
    email_hash TEXT,
    phone_hash TEXT,
    url TEXT,
    total BIGINT NOT NULL,
    currency TEXT NOT NULL,
    items TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    shop_updated_at BIGINT NOT NULL,
    completed_at BIGINT,
    PRIMARY KEY (workspace_id, token)
);
CREATE INDEX checkouts_cart ON checkouts (workspace_id, cart_token) WHERE cart_token IS NOT NULL;
CREATE INDEX checkouts_customer ON checkouts (workspace_id, customer_id) WHERE customer_id IS NOT NULL;
