-- Lists by status walk this index; what is on its way or was sent is found by the message's key,
-- so that sending a message moves no row of it.
CREATE INDEX messages_campaign_rest ON messages (campaign_id, status, subscriber_id, reason)
    WHERE campaign_id IS NOT NULL AND status NOT IN ('queued', 'sending', 'sent');
DROP INDEX messages_campaign;
