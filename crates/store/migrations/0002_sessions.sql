-- Sessions of browsers and API keys that live. Their secrets are known by their SHA-256 only.
CREATE TABLE sessions (
    id           INTEGER PRIMARY KEY,
    user_id      INTEGER NOT NULL REFERENCES users (id),
    kind         TEXT    NOT NULL CHECK (kind IN ('browser', 'key')),
    about        TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,
    secret       BLOB    NOT NULL CHECK (length(secret) = 32),
    previous     BLOB    CHECK (length(previous) = 32),
    created_at   INTEGER NOT NULL,
    exchanged_at INTEGER NOT NULL,
    used_at      INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;

ALTER TABLE counters ADD COLUMN next_session INTEGER NOT NULL DEFAULT 1;
