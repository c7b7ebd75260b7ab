-- People who signed in with Facebook to work for their clients. What they may do is what Meta lets
-- them do: `person_pages` is Meta's list of their Pages as last seen, at most an hour old.
CREATE TABLE people (
    id BIGINT PRIMARY KEY,
    user_id TEXT,
    name_sealed TEXT,
    token_sealed TEXT,
    expires_at BIGINT,
    checked_at BIGINT,
    check_due_at BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE UNIQUE INDEX people_user ON people (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX people_due ON people (check_due_at) WHERE ended_at IS NULL;

-- `role` is 'manager' or 'analyst'; `via` is 'people' (their own role on the Page) or the name of the
-- business that shares it ('partner').
CREATE TABLE person_pages (
    person_id BIGINT NOT NULL REFERENCES people (id),
    meta_id TEXT NOT NULL,
    role TEXT NOT NULL,
    via TEXT NOT NULL DEFAULT 'people',
    PRIMARY KEY (person_id, meta_id)
);
CREATE INDEX person_pages_meta ON person_pages (meta_id);

-- Their browser sessions; the workspace is the client they are looking at.
CREATE TABLE person_sessions (
    token_hash TEXT PRIMARY KEY,
    person_id BIGINT NOT NULL REFERENCES people (id),
    workspace_id BIGINT REFERENCES workspaces (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX person_sessions_person ON person_sessions (person_id);

-- A link with which somebody connects a Page to a workspace once, and nothing else.
CREATE TABLE invitations (
    code_hash TEXT PRIMARY KEY,
    workspace_id BIGINT NOT NULL REFERENCES workspaces (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX invitations_workspace ON invitations (workspace_id, expires_at);
