-- Who signed in with Facebook for a workspace: a person, or the business's own system user, and
-- what Meta lets them do. `user_id` is Meta's id of them for our app. A login whose `browser_hash`
-- is set is still choosing Pages, in the browser that brought it, until `choose_until`.
CREATE TABLE meta_logins (
    id BIGINT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    user_id TEXT,
    name_sealed TEXT,
    kind TEXT NOT NULL,
    flow TEXT NOT NULL,
    token_sealed TEXT,
    scopes TEXT NOT NULL DEFAULT '',
    granted TEXT NOT NULL DEFAULT '{}',
    expires_at BIGINT,
    browser_hash TEXT,
    choose_until BIGINT NOT NULL DEFAULT 0,
    checked_at BIGINT,
    check_due_at BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX meta_logins_workspace ON meta_logins (workspace_id, id);
CREATE INDEX meta_logins_user ON meta_logins (user_id) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX meta_logins_browser ON meta_logins (browser_hash) WHERE browser_hash IS NOT NULL;
CREATE INDEX meta_logins_due ON meta_logins (check_due_at) WHERE ended_at IS NULL;

-- Who connected a Page: the login, and Meta's id of the person (known for tokens given by hand too).
ALTER TABLE pages ADD COLUMN login_id BIGINT;
ALTER TABLE pages ADD COLUMN connected_by TEXT;
CREATE INDEX pages_login ON pages (login_id) WHERE login_id IS NOT NULL;
CREATE INDEX pages_connected_by ON pages (connected_by) WHERE connected_by IS NOT NULL;

-- Demands of Meta's to delete what is kept of a person; nothing in a row names anybody.
CREATE TABLE meta_deletions (
    code_hash TEXT PRIMARY KEY,
    asked_at BIGINT NOT NULL,
    done_at BIGINT
);
