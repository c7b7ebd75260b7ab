-- Whose data it is, who may see it, and what they connected. Times are epoch milliseconds;
-- columns named `*_sealed` hold AEAD boxes (store::sealed), never plain secrets.
CREATE TABLE workspaces (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    timezone TEXT NOT NULL DEFAULT 'UTC',
    quiet_start TEXT,
    quiet_end TEXT,
    cap_hours BIGINT NOT NULL DEFAULT 24,
    attribution_window_days BIGINT NOT NULL DEFAULT 7,
    flow_key_sealed TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE api_tokens (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    name TEXT NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- One-time sign-in links and the browser sessions they open.
CREATE TABLE login_links (
    token_hash TEXT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE shops (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    domain TEXT NOT NULL,
    name TEXT,
    token_sealed TEXT,
    scopes TEXT NOT NULL DEFAULT '',
    currency TEXT,
    timezone TEXT,
    installed_at BIGINT NOT NULL,
    uninstalled_at BIGINT,
    redacted_at BIGINT
);
CREATE UNIQUE INDEX shops_domain ON shops (domain) WHERE uninstalled_at IS NULL;
CREATE INDEX shops_workspace ON shops (workspace_id);

-- `state` is 'active' or 'needs_reconnect'; `attention` says why in words.
CREATE TABLE pages (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    meta_id TEXT NOT NULL,
    name TEXT NOT NULL,
    token_sealed TEXT,
    ad_account TEXT,
    ad_token_sealed TEXT,
    state TEXT NOT NULL DEFAULT 'active',
    attention TEXT,
    tokens_synced_at BIGINT,
    connected_at BIGINT NOT NULL,
    disconnected_at BIGINT
);
CREATE UNIQUE INDEX pages_meta_id ON pages (meta_id) WHERE disconnected_at IS NULL;
CREATE INDEX pages_workspace ON pages (workspace_id);

CREATE TABLE klaviyo_accounts (
    workspace_id BIGINT PRIMARY KEY REFERENCES workspaces (id),
    account_id TEXT,
    private_key_sealed TEXT,
    refresh_token_sealed TEXT,
    access_token_sealed TEXT,
    access_expires_at BIGINT,
    renewing_until BIGINT NOT NULL DEFAULT 0,
    webhook_id TEXT,
    webhook_secret_sealed TEXT,
    state TEXT NOT NULL DEFAULT 'active',
    attention TEXT,
    connected_at BIGINT NOT NULL
);

-- What was demanded about personal data and when it was done.
CREATE TABLE privacy_requests (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    kind TEXT NOT NULL,
    external_ref TEXT NOT NULL,
    detail TEXT NOT NULL,
    export_sealed TEXT,
    received_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    done_at BIGINT,
    UNIQUE (workspace_id, kind, external_ref)
);
