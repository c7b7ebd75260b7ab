-- Personal data: demands that are worked off, proof, and for how long what is kept.

-- Until when the export can be fetched; whom an erasure is about (sealed, and only as long as it is
-- needed); when its next pass is due: one at once, one for what was still on its way.
ALTER TABLE privacy_requests ADD COLUMN expires_at BIGINT;
ALTER TABLE privacy_requests ADD COLUMN subject_sealed TEXT;
ALTER TABLE privacy_requests ADD COLUMN again_at BIGINT;
UPDATE privacy_requests SET expires_at = due_at WHERE export_sealed IS NOT NULL;
CREATE INDEX privacy_requests_list ON privacy_requests (workspace_id, id);
CREATE INDEX privacy_requests_open ON privacy_requests (again_at) WHERE again_at IS NOT NULL;

-- Who did what of weight, and when. Append-only, and without personal data: `about` is an id of ours,
-- `detail` is words and counts.
CREATE TABLE audit_log (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    about TEXT,
    detail TEXT NOT NULL
);
CREATE INDEX audit_log_workspace ON audit_log (workspace_id, id);

-- For how many days a workspace keeps what came in, the words of single messages, and people who
-- left; and when it was last looked through for what is older.
ALTER TABLE workspaces ADD COLUMN keep_events_days BIGINT NOT NULL DEFAULT 30;
ALTER TABLE workspaces ADD COLUMN keep_messages_days BIGINT NOT NULL DEFAULT 365;
ALTER TABLE workspaces ADD COLUMN keep_people_days BIGINT NOT NULL DEFAULT 730;
ALTER TABLE workspaces ADD COLUMN pruned_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX workspaces_pruned ON workspaces (pruned_at);
CREATE INDEX messages_words ON messages (workspace_id, created_at)
    WHERE content IS NOT NULL;
CREATE INDEX runs_words ON runs (workspace_id, ended_at)
    WHERE ended_at IS NOT NULL AND context <> '{}';
CREATE INDEX opt_in_links_personal ON opt_in_links (workspace_id, id)
    WHERE customer_id IS NOT NULL OR email_hash IS NOT NULL OR phone_hash IS NOT NULL
       OR checkout_token IS NOT NULL;
CREATE INDEX subscribers_gone ON subscribers (workspace_id, opted_out_at)
    WHERE opted_out_at IS NOT NULL AND erased_at IS NULL;
CREATE INDEX customers_age ON customers (workspace_id, updated_at);
CREATE INDEX checkouts_age ON checkouts (shop_updated_at);
