-- The discount codes of an order, as a JSON list: a campaign's own code is looked for when nothing
-- else says how the shopper came. A credit by a code has no click: its `click_id` is 0.
ALTER TABLE orders ADD COLUMN discount_codes TEXT;
