-- Segments and lists that an audience names, with their members as last synced.
CREATE TABLE klaviyo_groups (
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT '',
    wanted_at BIGINT,
    sync_started_at BIGINT,
    synced_at BIGINT,
    problem TEXT,
    PRIMARY KEY (workspace_id, kind, id)
);
CREATE TABLE klaviyo_members (
    workspace_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    group_id TEXT NOT NULL,
    profile_id TEXT NOT NULL,
    email_hash TEXT,
    phone_hash TEXT,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, kind, group_id, profile_id)
);
CREATE INDEX klaviyo_members_email ON klaviyo_members (workspace_id, email_hash);
CREATE INDEX klaviyo_members_phone ON klaviyo_members (workspace_id, phone_hash);
CREATE INDEX klaviyo_members_profile ON klaviyo_members (workspace_id, profile_id);

-- Events that go out; `unique_id` makes them count once.
CREATE TABLE klaviyo_outbox (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL,
    subscriber_id BIGINT NOT NULL,
    metric TEXT NOT NULL,
    properties TEXT NOT NULL,
    value TEXT,
    currency TEXT,
    at BIGINT NOT NULL,
    unique_id TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    sent_at BIGINT,
    error TEXT,
    UNIQUE (workspace_id, unique_id)
);
CREATE INDEX klaviyo_outbox_due ON klaviyo_outbox (due_at) WHERE sent_at IS NULL AND error IS NULL;
