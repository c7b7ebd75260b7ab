-- `message`, `audience`, `utm` are the JSON of design section 7, checked before they are stored.
CREATE TABLE campaigns (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    name TEXT NOT NULL,
    message TEXT NOT NULL,
    audience TEXT NOT NULL,
    channel TEXT NOT NULL DEFAULT 'auto',
    utm TEXT,
    status TEXT NOT NULL DEFAULT 'draft',
    scheduled_at BIGINT,
    timezone TEXT,
    in_subscriber_timezone BIGINT NOT NULL DEFAULT 0,
    late_limit_minutes BIGINT NOT NULL DEFAULT 60,
    attention TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    launched_at BIGINT,
    paused_at BIGINT,
    finished_at BIGINT
);
CREATE INDEX campaigns_workspace ON campaigns (workspace_id, id);
CREATE INDEX campaigns_open ON campaigns (status, scheduled_at)
    WHERE status IN ('scheduled', 'preparing', 'running');

-- Meta's message campaign for each Page that a campaign or an automation (`owner_id`) sends from.
-- `problem_kind` is 'failed' or 'paused': what befell the sends, told in `problem`.
CREATE TABLE meta_campaigns (
    owner_id BIGINT NOT NULL,
    page_id BIGINT NOT NULL REFERENCES pages (id),
    workspace_id BIGINT NOT NULL,
    meta_campaign_id TEXT,
    meta_created_at BIGINT,
    probed_at BIGINT,
    probing_until BIGINT NOT NULL DEFAULT 0,
    hold_until BIGINT NOT NULL DEFAULT 0,
    problem_kind TEXT,
    problem TEXT,
    PRIMARY KEY (owner_id, page_id)
);
CREATE INDEX meta_campaigns_meta ON meta_campaigns (meta_campaign_id) WHERE meta_campaign_id IS NOT NULL;
