-- Orders once each, applied in the order of the shop's own `updated_at`. Money in minor units.
-- `refunded` is what is taken back: never more than `total`, all of it once cancelled. `click_ref`
-- is how the order names a click of ours, as `click_id:clk_…` or `landing_site:clk_…`.
CREATE TABLE orders (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    shop_order_id TEXT NOT NULL,
    name TEXT NOT NULL,
    customer_id TEXT,
    email_hash TEXT,
    checkout_token TEXT,
    cart_token TEXT,
    total BIGINT NOT NULL,
    refunded BIGINT NOT NULL DEFAULT 0,
    currency TEXT NOT NULL,
    click_ref TEXT,
    utm_id TEXT,
    source_name TEXT,
    test BIGINT NOT NULL DEFAULT 0,
    ordered_at BIGINT NOT NULL,
    shop_updated_at BIGINT NOT NULL,
    cancelled_at BIGINT,
    journey_checked_at BIGINT,
    journey_due_at BIGINT,
    created_at BIGINT NOT NULL,
    UNIQUE (workspace_id, shop_order_id)
);
CREATE INDEX orders_workspace ON orders (workspace_id, id);
CREATE INDEX orders_time ON orders (workspace_id, ordered_at);
CREATE INDEX orders_customer ON orders (workspace_id, customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX orders_email ON orders (workspace_id, email_hash) WHERE email_hash IS NOT NULL;
CREATE INDEX orders_checkout ON orders (workspace_id, checkout_token) WHERE checkout_token IS NOT NULL;
CREATE INDEX orders_journey ON orders (journey_due_at) WHERE journey_due_at IS NOT NULL;

CREATE TABLE refunds (
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    id TEXT NOT NULL,
    shop_order_id TEXT NOT NULL,
    amount BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX refunds_order ON refunds (workspace_id, shop_order_id);

-- One order, one credit, with the rule and the window it was decided by.
CREATE TABLE credits (
    order_id BIGINT PRIMARY KEY REFERENCES orders (id),
    workspace_id BIGINT NOT NULL,
    campaign_id BIGINT,
    automation_id BIGINT,
    origin_id BIGINT NOT NULL,
    subscriber_id BIGINT NOT NULL,
    click_id BIGINT NOT NULL,
    touch_kind TEXT NOT NULL,
    touch_at BIGINT NOT NULL,
    matched_by TEXT NOT NULL,
    window_days BIGINT NOT NULL,
    credited_at BIGINT NOT NULL
);
CREATE INDEX credits_campaign ON credits (campaign_id) WHERE campaign_id IS NOT NULL;
CREATE INDEX credits_automation ON credits (automation_id) WHERE automation_id IS NOT NULL;
CREATE INDEX credits_subscriber ON credits (subscriber_id);
CREATE INDEX credits_message ON credits (origin_id, subscriber_id);

CREATE TABLE products (
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    handle TEXT,
    image_url TEXT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
