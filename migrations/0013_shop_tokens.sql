-- Expiring offline tokens of Shopify: the access token lives in `token_sealed` as before, beside it
-- when it ends and what brings the next one. A token given by hand has none of this.
ALTER TABLE shops ADD COLUMN token_expires_at BIGINT;
ALTER TABLE shops ADD COLUMN refresh_token_sealed TEXT;
ALTER TABLE shops ADD COLUMN refresh_expires_at BIGINT;
-- When Shopify last handed tokens out to us.
ALTER TABLE shops ADD COLUMN token_at BIGINT;
-- The lock on renewing: until when somebody may be at it. Any later write frees it.
ALTER TABLE shops ADD COLUMN renewing_until BIGINT NOT NULL DEFAULT 0;
-- Since when only the merchant opening the app brings a token that works.
ALTER TABLE shops ADD COLUMN reauth_at BIGINT;
-- When the scopes were last told, and since when the token should be exchanged for one that has them.
ALTER TABLE shops ADD COLUMN scopes_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE shops ADD COLUMN exchange_due_at BIGINT;
-- When Shopify last issued a session token that was shown to us: the app was installed then.
ALTER TABLE shops ADD COLUMN opened_at BIGINT NOT NULL DEFAULT 0;

CREATE INDEX shops_idle ON shops (token_at)
    WHERE refresh_token_sealed IS NOT NULL AND reauth_at IS NULL;
