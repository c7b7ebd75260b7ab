-- What is done with every shop again and again (src/workspaces/shop_rounds.rs): when next, and up
-- to which time of the shop's it has been done.
CREATE TABLE shop_rounds (
    shop_id BIGINT NOT NULL REFERENCES shops (id),
    round TEXT NOT NULL,
    due_at BIGINT NOT NULL DEFAULT 0,
    until_at BIGINT,
    PRIMARY KEY (shop_id, round)
);
CREATE INDEX shop_rounds_due ON shop_rounds (round, due_at);
