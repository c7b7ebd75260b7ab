-- A link may be about one thing that is sold out: who comes through it is told when it is back.
ALTER TABLE opt_in_links ADD COLUMN variant_id TEXT;
ALTER TABLE opt_in_links ADD COLUMN language TEXT;

-- What somebody asked about, as the shop showed it to us, and when the shop last said it is back.
CREATE TABLE watched_variants (
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    url TEXT NOT NULL,
    image_url TEXT,
    in_stock_at BIGINT,
    PRIMARY KEY (workspace_id, id)
);

-- Who asked, when; `tried_at` is when we last tried to tell them, `told_at` that it was told.
CREATE TABLE stock_watches (
    workspace_id BIGINT NOT NULL,
    variant_id TEXT NOT NULL,
    subscriber_id BIGINT NOT NULL REFERENCES subscribers (id),
    asked_at BIGINT NOT NULL,
    tried_at BIGINT NOT NULL DEFAULT 0,
    told_at BIGINT,
    PRIMARY KEY (workspace_id, variant_id, subscriber_id)
);
CREATE INDEX stock_watches_open ON stock_watches (workspace_id, variant_id, tried_at)
    WHERE told_at IS NULL;
CREATE INDEX stock_watches_subscriber ON stock_watches (subscriber_id);
CREATE INDEX watched_variants_back ON watched_variants (in_stock_at) WHERE in_stock_at IS NOT NULL;
