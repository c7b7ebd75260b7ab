-- The shop's customers, as far as they are needed to recognise a subscriber.
-- `email_hash`, `phone_hash`: SHA-256 of the normalised value, hex.
CREATE TABLE customers (
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    id TEXT NOT NULL,
    first_name TEXT,
    last_name TEXT,
    email_hash TEXT,
    email_sealed TEXT,
    phone_hash TEXT,
    phone_sealed TEXT,
    updated_at BIGINT NOT NULL,
    erased_at BIGINT,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX customers_email ON customers (workspace_id, email_hash);
CREATE INDEX customers_phone ON customers (workspace_id, phone_hash);

-- A way in. A known person's link carries customer and checkout.
CREATE TABLE opt_in_links (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    page_id BIGINT NOT NULL REFERENCES pages (id),
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    consent_text TEXT NOT NULL,
    customer_id TEXT,
    email_hash TEXT,
    email_sealed TEXT,
    phone_hash TEXT,
    phone_sealed TEXT,
    checkout_token TEXT,
    created_at BIGINT NOT NULL,
    archived_at BIGINT
);
CREATE INDEX opt_in_links_workspace ON opt_in_links (workspace_id, id);

-- A person who may be written to on one Page; a row exists from the first contact on.
-- `token` is Meta's subscription token. `last_action_at` opens the 24 h window.
CREATE TABLE subscribers (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    page_id BIGINT NOT NULL REFERENCES pages (id),
    psid TEXT,
    token TEXT,
    token_expires_at BIGINT,
    token_enabled BIGINT NOT NULL DEFAULT 1,
    token_seen_at BIGINT,
    next_eligible_at BIGINT,
    timezone TEXT,
    first_name TEXT,
    last_name TEXT,
    source TEXT,
    opt_in_link_id BIGINT,
    opted_in_at BIGINT,
    opted_out_at BIGINT,
    unreachable_reason TEXT,
    unreachable_at BIGINT,
    card_sent_at BIGINT,
    last_action_at BIGINT,
    last_marketing_at BIGINT,
    last_read_at BIGINT,
    last_clicked_at BIGINT,
    last_ordered_at BIGINT,
    customer_id TEXT,
    checkout_token TEXT,
    email_hash TEXT,
    email_sealed TEXT,
    phone_hash TEXT,
    phone_sealed TEXT,
    klaviyo_profile_id TEXT,
    created_at BIGINT NOT NULL,
    erased_at BIGINT
);
CREATE UNIQUE INDEX subscribers_psid ON subscribers (page_id, psid);
CREATE UNIQUE INDEX subscribers_token ON subscribers (page_id, token);
CREATE INDEX subscribers_workspace ON subscribers (workspace_id, id);
CREATE INDEX subscribers_active ON subscribers (workspace_id, page_id, id)
    WHERE opted_in_at IS NOT NULL AND opted_out_at IS NULL AND erased_at IS NULL;
CREATE INDEX subscribers_customer ON subscribers (workspace_id, customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX subscribers_email ON subscribers (workspace_id, email_hash) WHERE email_hash IS NOT NULL;
CREATE INDEX subscribers_phone ON subscribers (workspace_id, phone_hash) WHERE phone_hash IS NOT NULL;
CREATE INDEX subscribers_checkout ON subscribers (workspace_id, checkout_token) WHERE checkout_token IS NOT NULL;
CREATE INDEX subscribers_profile ON subscribers (workspace_id, klaviyo_profile_id) WHERE klaviyo_profile_id IS NOT NULL;
CREATE INDEX subscribers_link ON subscribers (opt_in_link_id) WHERE opt_in_link_id IS NOT NULL;
CREATE INDEX subscribers_opted_in ON subscribers (workspace_id, opted_in_at) WHERE opted_in_at IS NOT NULL;
CREATE INDEX subscribers_opted_out ON subscribers (workspace_id, opted_out_at) WHERE opted_out_at IS NOT NULL;

CREATE TABLE subscriber_tags (
    workspace_id BIGINT NOT NULL,
    subscriber_id BIGINT NOT NULL REFERENCES subscribers (id),
    tag TEXT NOT NULL,
    PRIMARY KEY (subscriber_id, tag)
);
CREATE INDEX subscriber_tags_tag ON subscriber_tags (workspace_id, tag, subscriber_id);

-- The ledger: append-only. `action` is 'opted_in' or 'opted_out', `means` how we learned of it.
CREATE TABLE consents (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL,
    subscriber_id BIGINT NOT NULL REFERENCES subscribers (id),
    action TEXT NOT NULL,
    means TEXT NOT NULL,
    source TEXT,
    text_shown TEXT,
    at BIGINT NOT NULL,
    event_key TEXT NOT NULL,
    UNIQUE (subscriber_id, event_key)
);
CREATE INDEX consents_workspace ON consents (workspace_id, at);
