-- Each platform's open deliveries are claimed apart; errors of one workspace are shown to it.
CREATE INDEX webhooks_due ON webhooks (platform, retry_at, id) WHERE processed_at IS NULL;
DROP INDEX webhooks_open;
CREATE INDEX webhooks_failed_of ON webhooks (workspace_id, id) WHERE error IS NOT NULL;

-- Events for Klaviyo are claimed by workspace, and pruned by age once they are sent.
CREATE INDEX klaviyo_outbox_open ON klaviyo_outbox (workspace_id, due_at, id)
    WHERE sent_at IS NULL AND error IS NULL;
DROP INDEX klaviyo_outbox_due;
CREATE INDEX klaviyo_outbox_sent ON klaviyo_outbox (sent_at) WHERE sent_at IS NOT NULL;
