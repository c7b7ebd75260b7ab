-- Opt-in links that we make ourselves, one of a kind for a Page: `standing` is the place they stand
-- in, as 'storefront'. A Page that is exchanged gets its own.
ALTER TABLE opt_in_links ADD COLUMN standing TEXT;
CREATE UNIQUE INDEX opt_in_links_standing ON opt_in_links (page_id, standing)
    WHERE standing IS NOT NULL AND archived_at IS NULL;
