-- What one subscriber is to be told once. `origin_id` is what caused it: the campaign, or an id
-- of its own for a step of a run, a test, an opt-in card or a reply; so the key itself forbids a
-- second copy. `content` is NULL for campaign messages (the campaign has it). Rows of a campaign
-- are claimed campaign by campaign, so pausing one touches none of its rows.
CREATE TABLE messages (
    origin_id BIGINT NOT NULL,
    subscriber_id BIGINT NOT NULL REFERENCES subscribers (id),
    workspace_id BIGINT NOT NULL,
    page_id BIGINT NOT NULL REFERENCES pages (id),
    kind TEXT NOT NULL,
    campaign_id BIGINT,
    automation_id BIGINT,
    run_id BIGINT,
    step BIGINT,
    test_of BIGINT,
    content TEXT,
    channel TEXT,
    priority BIGINT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    detail TEXT,
    due_at BIGINT NOT NULL,
    expires_at BIGINT,
    lease_until BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    sent_at BIGINT,
    delivered_at BIGINT,
    read_at BIGINT,
    clicked_at BIGINT,
    clicks BIGINT NOT NULL DEFAULT 0,
    mid TEXT,
    tracking_id TEXT,
    PRIMARY KEY (origin_id, subscriber_id)
);
CREATE INDEX messages_due ON messages (page_id, priority, due_at)
    WHERE status = 'queued' AND campaign_id IS NULL;
CREATE INDEX messages_campaign_due ON messages (campaign_id, page_id, due_at)
    WHERE status = 'queued' AND campaign_id IS NOT NULL;
CREATE INDEX messages_leased ON messages (lease_until) WHERE status = 'sending';
CREATE INDEX messages_unknown ON messages (started_at) WHERE status = 'unknown';
CREATE INDEX messages_campaign ON messages (campaign_id, status, subscriber_id) WHERE campaign_id IS NOT NULL;
CREATE INDEX messages_automation ON messages (automation_id, status) WHERE automation_id IS NOT NULL;
CREATE INDEX messages_sent ON messages (workspace_id, sent_at) WHERE sent_at IS NOT NULL;
CREATE UNIQUE INDEX messages_step ON messages (run_id, step) WHERE run_id IS NOT NULL;
CREATE INDEX messages_subscriber ON messages (subscriber_id, created_at);
CREATE INDEX messages_mid ON messages (mid) WHERE mid IS NOT NULL;
CREATE INDEX messages_tracking ON messages (tracking_id) WHERE tracking_id IS NOT NULL;

-- One row per try that did not simply succeed; the try that did stands in the message itself.
CREATE TABLE attempts (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL,
    origin_id BIGINT NOT NULL,
    subscriber_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    channel TEXT NOT NULL,
    outcome TEXT NOT NULL,
    code BIGINT,
    subcode BIGINT,
    detail TEXT
);
CREATE INDEX attempts_message ON attempts (origin_id, subscriber_id, id);

-- The pace of a Page, shared by all workers: slots are taken by moving `next_slot_us` on.
CREATE TABLE paces (
    page_id BIGINT PRIMARY KEY REFERENCES pages (id),
    next_slot_us BIGINT NOT NULL DEFAULT 0,
    per_second BIGINT NOT NULL DEFAULT 300,
    slow_until BIGINT NOT NULL DEFAULT 0,
    hold_until BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE clicks (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL,
    origin_id BIGINT NOT NULL,
    subscriber_id BIGINT NOT NULL,
    campaign_id BIGINT,
    automation_id BIGINT,
    link BIGINT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX clicks_message ON clicks (origin_id, subscriber_id);
CREATE INDEX clicks_subscriber ON clicks (subscriber_id, at);
CREATE INDEX clicks_campaign ON clicks (campaign_id, link) WHERE campaign_id IS NOT NULL;
CREATE INDEX clicks_workspace ON clicks (workspace_id, at);

-- Videos uploaded to a Page, by address; Meta keeps them for 90 days.
CREATE TABLE uploads (
    page_id BIGINT NOT NULL REFERENCES pages (id),
    url_hash TEXT NOT NULL,
    attachment_id TEXT NOT NULL,
    uploaded_at BIGINT NOT NULL,
    PRIMARY KEY (page_id, url_hash)
);
