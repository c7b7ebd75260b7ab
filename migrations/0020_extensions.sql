-- What the web pixel told of a purchase: a hint, which counts once an order's own webhook confirms
-- the checkout. Kept for a week.
CREATE TABLE pixel_hints (
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    event_id TEXT NOT NULL,
    checkout_token TEXT,
    shop_order_id TEXT,
    click_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, event_id)
);
CREATE INDEX pixel_hints_checkout ON pixel_hints (workspace_id, checkout_token)
    WHERE checkout_token IS NOT NULL;
CREATE INDEX pixel_hints_order ON pixel_hints (workspace_id, shop_order_id)
    WHERE shop_order_id IS NOT NULL AND checkout_token IS NULL;
CREATE INDEX pixel_hints_click ON pixel_hints (workspace_id, click_id);
CREATE INDEX pixel_hints_at ON pixel_hints (at);

-- Where the shop's web pixel was told to send to, and when; `pixel_due_at`: not tried again before.
ALTER TABLE shops ADD COLUMN pixel_address TEXT;
ALTER TABLE shops ADD COLUMN pixel_placed_at BIGINT;
ALTER TABLE shops ADD COLUMN pixel_due_at BIGINT NOT NULL DEFAULT 0;
