-- The tables of a pool. Ids, amounts (micro-CPT) and times (ms since 1970) are integers; what is
-- only ever read whole is compact JSON. Rows are written by the pool's one writer.

CREATE TABLE users (
    id            INTEGER PRIMARY KEY,
    username      TEXT    NOT NULL,
    email         TEXT    NOT NULL,
    password_hash TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('member', 'operator')),
    registered_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX users_by_name ON users (lower(username));

CREATE TABLE nodes (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    owner       INTEGER NOT NULL REFERENCES users (id),
    enrolled_at INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    gpu_info    TEXT    NOT NULL,
    capacity    TEXT    NOT NULL
) STRICT;

CREATE INDEX nodes_by_owner ON nodes (owner);

-- `elements` and `spec` come last: they are the long ones, and the row is read up to what is needed.
CREATE TABLE tasks (
    id           INTEGER PRIMARY KEY,
    user_id      INTEGER NOT NULL REFERENCES users (id),
    state        TEXT    NOT NULL CHECK (state IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    submitted_at INTEGER NOT NULL,
    ended_at     INTEGER,
    cap          INTEGER NOT NULL,
    cost         INTEGER NOT NULL,
    elements     TEXT    NOT NULL,
    spec         TEXT    NOT NULL
) STRICT;

CREATE INDEX tasks_by_user ON tasks (user_id, id);
-- Recovery and the pages of what still goes on.
CREATE INDEX tasks_open ON tasks (user_id, id) WHERE state IN ('pending', 'running');
-- The pages of what went wrong: rare among many that completed.
CREATE INDEX tasks_unsuccessful ON tasks (user_id, id) WHERE state IN ('failed', 'cancelled');

-- Assigned: neither time. Running: `started_at`. Ended: the last three, together.
CREATE TABLE attempts (
    task        INTEGER NOT NULL REFERENCES tasks (id),
    element     INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    node        INTEGER NOT NULL REFERENCES nodes (id),
    assigned_at INTEGER NOT NULL,
    started_at  INTEGER,
    ended_at    INTEGER,
    cost        INTEGER,
    report      TEXT,
    PRIMARY KEY (task, element, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_open ON attempts (task) WHERE ended_at IS NULL;

-- The treasury is nobody's: its user is 0.
CREATE TABLE accounts (
    kind    TEXT    NOT NULL CHECK (kind IN ('treasury', 'available', 'held')),
    user_id INTEGER NOT NULL,
    balance INTEGER NOT NULL CHECK (balance >= 0),
    PRIMARY KEY (kind, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE holds (
    task    INTEGER PRIMARY KEY REFERENCES tasks (id),
    user_id INTEGER NOT NULL REFERENCES users (id),
    amount  INTEGER NOT NULL CHECK (amount >= 0)
) STRICT;

CREATE TABLE journal (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    reason   TEXT    NOT NULL,
    postings TEXT    NOT NULL,
    hash     BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE TRIGGER journal_keeps_what_it_has BEFORE UPDATE ON journal
BEGIN
    SELECT RAISE(ABORT, 'journal entries are never changed');
END;

CREATE TRIGGER journal_keeps_all BEFORE DELETE ON journal
BEGIN
    SELECT RAISE(ABORT, 'journal entries are never removed');
END;

CREATE TABLE requests (
    user_id INTEGER NOT NULL REFERENCES users (id),
    id      TEXT    NOT NULL,
    body    BLOB    NOT NULL CHECK (length(body) = 32),
    answer  TEXT    NOT NULL,
    PRIMARY KEY (user_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE used_tokens (
    id         TEXT    PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: the next ids.
CREATE TABLE counters (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    next_user INTEGER NOT NULL,
    next_node INTEGER NOT NULL,
    next_task INTEGER NOT NULL
) STRICT;
