-- What was left undone or is known only roughly, and is mended later.

-- When to try again what connecting could not do (a name not read, webhooks not subscribed);
-- NULL when nothing is left.
ALTER TABLE pages ADD COLUMN setup_due_at BIGINT;
ALTER TABLE shops ADD COLUMN setup_due_at BIGINT;
ALTER TABLE klaviyo_accounts ADD COLUMN setup_due_at BIGINT;
CREATE INDEX pages_setup ON pages (setup_due_at) WHERE setup_due_at IS NOT NULL;
CREATE INDEX shops_setup ON shops (setup_due_at) WHERE setup_due_at IS NOT NULL;
CREATE INDEX klaviyo_setup ON klaviyo_accounts (setup_due_at) WHERE setup_due_at IS NOT NULL;

-- 1: a body that knows more may correct the amount, up or down.
ALTER TABLE refunds ADD COLUMN is_estimate BIGINT NOT NULL DEFAULT 0;

-- Opt-outs that Meta has not been told of yet.
CREATE TABLE untold_opt_outs (
    subscriber_id BIGINT PRIMARY KEY REFERENCES subscribers (id),
    workspace_id BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX untold_opt_outs_due ON untold_opt_outs (due_at);
