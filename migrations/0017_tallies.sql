-- Figures, kept by whoever moves the rows, in the transaction that moves them (src/tallies).

-- What became of the messages of one owner (a campaign or an automation). Only ends stand here:
-- what is queued or on its way is counted from its own small indexes. `bucket` is the quarter of an
-- hour of `sent_at` (its beginning, epoch ms) for what was sent and 0 for the rest; `reason` is ''
-- where there is none. `page_id` keeps the workers of different Pages from waiting for one row.
CREATE TABLE tallies (
    workspace_id BIGINT NOT NULL,
    owner_id BIGINT NOT NULL,
    page_id BIGINT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    bucket BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    read_ BIGINT NOT NULL,
    clicked BIGINT NOT NULL,
    clicks BIGINT NOT NULL,
    PRIMARY KEY (owner_id, status, reason, bucket, page_id)
);
CREATE INDEX tallies_sent ON tallies (workspace_id, bucket) WHERE status = 'sent';

INSERT INTO tallies (workspace_id, owner_id, page_id, status, reason, bucket, messages, delivered,
    read_, clicked, clicks)
SELECT workspace_id, owner_id, page_id, status, reason, bucket, COUNT(*), COUNT(delivered_at),
    COUNT(read_at), COUNT(clicked_at), CAST(SUM(clicks) AS BIGINT)
FROM (SELECT workspace_id, COALESCE(campaign_id, automation_id) AS owner_id, page_id, status,
          CASE WHEN status IN ('failed', 'skipped') THEN COALESCE(reason, '') ELSE '' END AS reason,
          CASE WHEN status = 'sent' THEN sent_at / 900000 * 900000 ELSE 0 END AS bucket,
          CASE WHEN status = 'sent' THEN delivered_at END AS delivered_at,
          CASE WHEN status = 'sent' THEN read_at END AS read_at,
          CASE WHEN status = 'sent' THEN clicked_at END AS clicked_at,
          CASE WHEN status = 'sent' THEN clicks ELSE 0 END AS clicks
      FROM messages
      WHERE status NOT IN ('queued', 'sending') AND (status <> 'sent' OR sent_at IS NOT NULL)
        AND (campaign_id IS NOT NULL OR automation_id IS NOT NULL)) AS ended
GROUP BY workspace_id, owner_id, page_id, status, reason, bucket;

-- Credited orders and their money, by the quarter of an hour in which they were placed.
CREATE TABLE earnings (
    workspace_id BIGINT NOT NULL,
    owner_id BIGINT NOT NULL,
    automated BIGINT NOT NULL,
    currency TEXT NOT NULL,
    bucket BIGINT NOT NULL,
    orders BIGINT NOT NULL,
    total BIGINT NOT NULL,
    refunded BIGINT NOT NULL,
    PRIMARY KEY (owner_id, workspace_id, bucket, currency)
);
CREATE INDEX earnings_time ON earnings (workspace_id, bucket);

INSERT INTO earnings (workspace_id, owner_id, automated, currency, bucket, orders, total, refunded)
SELECT workspace_id, owner_id, automated, currency, bucket, COUNT(*), CAST(SUM(total) AS BIGINT),
    CAST(SUM(refunded) AS BIGINT)
FROM (SELECT o.workspace_id, COALESCE(c.campaign_id, c.automation_id, 0) AS owner_id,
          CASE WHEN c.automation_id IS NULL THEN 0 ELSE 1 END AS automated, o.currency,
          o.ordered_at / 900000 * 900000 AS bucket, o.total, o.refunded
      FROM credits c JOIN orders o ON o.id = c.order_id AND o.workspace_id = c.workspace_id) AS earned
GROUP BY workspace_id, owner_id, automated, currency, bucket;

-- The frozen audience; NULL where nobody wrote it down, and then the rows are counted.
ALTER TABLE campaigns ADD COLUMN people BIGINT;
UPDATE campaigns SET people = (SELECT COUNT(*) FROM messages m
    WHERE m.origin_id = campaigns.id AND m.campaign_id = campaigns.id)
WHERE launched_at IS NOT NULL;

-- When the tallies are next compared with the rows; for campaigns not before they have ended.
ALTER TABLE campaigns ADD COLUMN recount_at BIGINT DEFAULT 0;
ALTER TABLE automations ADD COLUMN recount_at BIGINT DEFAULT 0;
UPDATE campaigns SET recount_at = NULL WHERE finished_at IS NOT NULL;
CREATE INDEX campaigns_recount ON campaigns (recount_at)
    WHERE recount_at IS NOT NULL AND finished_at IS NOT NULL;
CREATE INDEX automations_recount ON automations (recount_at) WHERE deleted_at IS NULL;
ALTER TABLE workspaces ADD COLUMN recount_at BIGINT DEFAULT 0;

-- Who joined and who left, by the quarter of an hour. Decisions add notes; the upkeep adds them up.
CREATE TABLE joins (
    workspace_id BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    joined BIGINT NOT NULL,
    left_ BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, bucket)
);
CREATE TABLE join_notes (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    joined BIGINT NOT NULL,
    left_ BIGINT NOT NULL
);
INSERT INTO joins (workspace_id, bucket, joined, left_)
SELECT workspace_id, bucket, CAST(SUM(joined) AS BIGINT), CAST(SUM(left_) AS BIGINT)
FROM (SELECT workspace_id, opted_in_at / 900000 * 900000 AS bucket, 1 AS joined, 0 AS left_
      FROM subscribers WHERE opted_in_at IS NOT NULL
      UNION ALL
      SELECT workspace_id, opted_out_at / 900000 * 900000, 0, 1
      FROM subscribers WHERE opted_out_at IS NOT NULL AND opted_in_at IS NOT NULL) AS moves
GROUP BY workspace_id, bucket;

-- Clicks on each link of a campaign, and the people who clicked it.
CREATE TABLE link_tallies (
    workspace_id BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    link BIGINT NOT NULL,
    people BIGINT NOT NULL,
    clicks BIGINT NOT NULL,
    PRIMARY KEY (campaign_id, link)
);
INSERT INTO link_tallies (workspace_id, campaign_id, link, people, clicks)
SELECT workspace_id, campaign_id, link, COUNT(DISTINCT subscriber_id), COUNT(*) FROM clicks
WHERE campaign_id IS NOT NULL GROUP BY workspace_id, campaign_id, link;
CREATE INDEX clicks_link ON clicks (origin_id, subscriber_id, link);
DROP INDEX clicks_message;

-- Names as numbers (src/store/names.rs), written beside the names and filled in by the upkeep.
ALTER TABLE subscribers ADD COLUMN first_key BIGINT;
ALTER TABLE subscribers ADD COLUMN last_key BIGINT;
CREATE INDEX subscribers_first ON subscribers (workspace_id, first_key) WHERE first_key IS NOT NULL;
CREATE INDEX subscribers_last ON subscribers (workspace_id, last_key) WHERE last_key IS NOT NULL;
CREATE INDEX subscribers_unkeyed ON subscribers (workspace_id)
    WHERE first_key IS NULL AND (first_name IS NOT NULL OR last_name IS NOT NULL);

-- Lists of credited orders, newest first.
CREATE INDEX credits_orders ON credits (workspace_id, order_id);
CREATE INDEX credits_campaign_orders ON credits (campaign_id, order_id) WHERE campaign_id IS NOT NULL;
CREATE INDEX credits_automation_orders ON credits (automation_id, order_id)
    WHERE automation_id IS NOT NULL;
DROP INDEX credits_campaign;
DROP INDEX credits_automation;
