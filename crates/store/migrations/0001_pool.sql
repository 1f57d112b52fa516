-- The tables of a pool. Ids, amounts (micro-CPT), times (ms since 1970) and spans (ms) are integers;
-- what is only ever read whole is compact JSON. Rows are written by the pool's one writer.

-- `registered_from` is the network that sign-ups are counted by; empty where they are not.
CREATE TABLE users (
    id              INTEGER PRIMARY KEY,
    username        TEXT    NOT NULL,
    email           TEXT    NOT NULL,
    password_hash   TEXT    NOT NULL,
    role            TEXT    NOT NULL CHECK (role IN ('member', 'operator')),
    registered_at   INTEGER NOT NULL,
    registered_from TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX users_by_name ON users (lower(username));

CREATE TABLE nodes (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    owner       INTEGER NOT NULL REFERENCES users (id),
    enrolled_at INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    gpu_info    TEXT    NOT NULL,
    capacity    TEXT    NOT NULL,
    service     TEXT    NOT NULL,
    labels      TEXT    NOT NULL,
    isolation   TEXT    NOT NULL CHECK (isolation IN ('basic', 'rootless', 'sandboxed')),
    kinds       TEXT    NOT NULL,
    egress      TEXT    NOT NULL
) STRICT;

CREATE INDEX nodes_by_owner ON nodes (owner, name);

-- `completed`, `failed` and `cancelled` count elements that have ended; `failure` tells how the first of them ended that
-- did not complete. `spec` comes last: it is the long one, and the row is read up to what is needed.
CREATE TABLE tasks (
    id           INTEGER PRIMARY KEY,
    user_id      INTEGER NOT NULL REFERENCES users (id),
    state        TEXT    NOT NULL CHECK (state IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    submitted_at INTEGER NOT NULL,
    ended_at     INTEGER,
    cap          INTEGER NOT NULL,
    cost         INTEGER NOT NULL,
    completed    INTEGER NOT NULL CHECK (completed >= 0),
    failed       INTEGER NOT NULL CHECK (failed >= 0),
    cancelled    INTEGER NOT NULL CHECK (cancelled >= 0),
    failure      TEXT,
    reused       TEXT,
    reuse        TEXT,
    spec         TEXT    NOT NULL
) STRICT;

CREATE INDEX tasks_by_user ON tasks (user_id, id);
-- Results that equal tasks may take: `reuse` is the digest of everything that could change the result.
CREATE INDEX tasks_known ON tasks (user_id, reuse, id) WHERE reuse IS NOT NULL AND state = 'completed';
-- Recovery and the pages of what still goes on.
CREATE INDEX tasks_open ON tasks (user_id, id) WHERE state IN ('pending', 'running');
-- The pages of what went wrong: rare among many that completed.
CREATE INDEX tasks_unsuccessful ON tasks (user_id, id) WHERE state IN ('failed', 'cancelled');

-- What has ended, by age: what it left is kept for a time.
CREATE INDEX tasks_ended ON tasks (ended_at, id) WHERE ended_at IS NOT NULL;

-- The elements of a task, 1024 in a row, equal neighbours counted: `[[count, element], ...]`. A row that is
-- missing stands for elements that were never tried.
CREATE TABLE chunks (
    task  INTEGER NOT NULL REFERENCES tasks (id),
    chunk INTEGER NOT NULL CHECK (chunk >= 0),
    runs  TEXT    NOT NULL,
    PRIMARY KEY (task, chunk)
) STRICT, WITHOUT ROWID;

-- Assigned: neither time. Running: `started_at`. Reported: `report` and `ballot`. Ended: `ended_at`, `cost` and `report`.
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
    ballot      TEXT,
    PRIMARY KEY (task, element, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_open ON attempts (task) WHERE ended_at IS NULL;

-- The holder is a user or a project; the treasury is nobody's, its holder is 0.
CREATE TABLE accounts (
    kind    TEXT    NOT NULL CHECK (
                kind IN ('treasury', 'available', 'promo', 'held', 'pending', 'owner', 'reward', 'project')
            ),
    holder  INTEGER NOT NULL CHECK ((holder = 0) = (kind = 'treasury')),
    balance INTEGER NOT NULL CHECK (balance >= 0),
    PRIMARY KEY (kind, holder)
) STRICT, WITHOUT ROWID;

-- What is left, by what it was taken from: money and free credit.
CREATE TABLE holds (
    task       INTEGER PRIMARY KEY REFERENCES tasks (id),
    user_id    INTEGER NOT NULL REFERENCES users (id),
    own        INTEGER NOT NULL CHECK (own >= 0),
    promo      INTEGER NOT NULL CHECK (promo >= 0),
    expires_at INTEGER NOT NULL
) STRICT;

-- What running attempts have earned so far, split as the hold is that it comes from.
CREATE TABLE accruals (
    task    INTEGER NOT NULL,
    element INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    payee   INTEGER NOT NULL REFERENCES users (id),
    own     INTEGER NOT NULL CHECK (own >= 0),
    promo   INTEGER NOT NULL CHECK (promo >= 0),
    PRIMARY KEY (task, element, number),
    FOREIGN KEY (task, element, number) REFERENCES attempts (task, element, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX accruals_by_payee ON accruals (payee);

CREATE TABLE vests (
    due     INTEGER NOT NULL,
    user_id INTEGER NOT NULL REFERENCES users (id),
    source  TEXT    NOT NULL CHECK (source IN ('work', 'reward')),
    amount  INTEGER NOT NULL CHECK (amount > 0),
    PRIMARY KEY (due, user_id, source)
) STRICT, WITHOUT ROWID;

-- A posting is `[kind, holder, amount, balance]`. `user_a`, `user_b` and `task` tell whose accounts
-- the entry touches and which task it is about; they follow from the rest and are there for the indexes.
CREATE TABLE journal (
    seq      INTEGER PRIMARY KEY CHECK (seq > 0),
    at       INTEGER NOT NULL,
    hash     BLOB    NOT NULL CHECK (length(hash) = 32),
    user_a   INTEGER,
    user_b   INTEGER,
    task     INTEGER,
    reason   TEXT    NOT NULL,
    postings TEXT    NOT NULL
) STRICT;

CREATE INDEX journal_by_task ON journal (task) WHERE task IS NOT NULL;
-- The statements of users: entries about tasks, of which there are many, apart from all others, so
-- that one who asks for transfers or rewards does not wait for a million settlements. Each entry is
-- in one of the two, for each of its users.
CREATE INDEX journal_work_a  ON journal (user_a) WHERE user_a IS NOT NULL AND task IS NOT NULL;
CREATE INDEX journal_work_b  ON journal (user_b) WHERE user_b IS NOT NULL AND task IS NOT NULL;
CREATE INDEX journal_other_a ON journal (user_a) WHERE user_a IS NOT NULL AND task IS NULL;
CREATE INDEX journal_other_b ON journal (user_b) WHERE user_b IS NOT NULL AND task IS NULL;

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
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    next_user    INTEGER NOT NULL,
    next_node    INTEGER NOT NULL,
    next_task    INTEGER NOT NULL,
    next_project INTEGER NOT NULL
) STRICT;

-- One row: where the pool stands in time.
CREATE TABLE clock (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    awake_at    INTEGER NOT NULL,
    period_from INTEGER NOT NULL,
    period_to   INTEGER NOT NULL
) STRICT;

-- `runtime` is of the whole life; the last four are of the reward period that goes on.
CREATE TABLE standings (
    node        INTEGER PRIMARY KEY REFERENCES nodes (id),
    runtime     INTEGER NOT NULL CHECK (runtime >= 0),
    alive_since INTEGER,
    alive       INTEGER NOT NULL CHECK (alive >= 0),
    ended       INTEGER NOT NULL CHECK (ended >= 0),
    completed   INTEGER NOT NULL CHECK (completed >= 0),
    complex     INTEGER NOT NULL CHECK (complex >= 0)
) STRICT;

-- What the verified work of nodes has shown, and what they may take on `day` (days since 1970, UTC) while they are new.
CREATE TABLE trusts (
    node     INTEGER PRIMARY KEY REFERENCES nodes (id),
    valid    INTEGER NOT NULL CHECK (valid >= 0),
    wrong    INTEGER NOT NULL CHECK (wrong >= 0),
    wrong_at INTEGER,
    quota    INTEGER NOT NULL CHECK (quota >= 0),
    used     INTEGER NOT NULL CHECK (used >= 0),
    day      INTEGER NOT NULL
) STRICT;

-- In the order of their pages: newest period first, then by node.
CREATE TABLE rewards (
    period_from INTEGER NOT NULL,
    node        INTEGER NOT NULL REFERENCES nodes (id),
    owner       INTEGER NOT NULL REFERENCES users (id),
    period_to   INTEGER NOT NULL,
    registered  INTEGER NOT NULL CHECK (registered >= 0),
    alive       INTEGER NOT NULL CHECK (alive >= 0),
    ended       INTEGER NOT NULL CHECK (ended >= 0),
    completed   INTEGER NOT NULL CHECK (completed >= 0),
    complex     INTEGER NOT NULL CHECK (complex >= 0),
    base        INTEGER NOT NULL CHECK (base >= 0),
    performance INTEGER NOT NULL CHECK (performance >= 0),
    stability   INTEGER NOT NULL CHECK (stability >= 0),
    quality     INTEGER NOT NULL CHECK (quality >= 0),
    level       TEXT    NOT NULL CHECK (level IN ('none', 'bronze', 'silver', 'gold', 'platinum', 'diamond')),
    total       INTEGER NOT NULL CHECK (total >= 0),
    PRIMARY KEY (period_from DESC, node)
) STRICT, WITHOUT ROWID;

CREATE INDEX rewards_by_owner ON rewards (owner, period_from DESC, node);
CREATE INDEX rewards_by_node ON rewards (node, period_from DESC);

CREATE TABLE projects (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL,
    repository    TEXT    NOT NULL,
    owner         INTEGER NOT NULL REFERENCES users (id),
    state         TEXT    NOT NULL CHECK (state IN ('open', 'closed')),
    registered_at INTEGER NOT NULL,
    tips          INTEGER NOT NULL CHECK (tips >= 0),
    tipped        INTEGER NOT NULL CHECK (tipped >= 0)
) STRICT;

CREATE UNIQUE INDEX projects_by_name ON projects (lower(name));

CREATE TABLE tips (
    project INTEGER NOT NULL REFERENCES projects (id),
    number  INTEGER NOT NULL CHECK (number > 0),
    user_id INTEGER NOT NULL REFERENCES users (id),
    amount  INTEGER NOT NULL CHECK (amount > 0),
    message TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (project, number)
) STRICT, WITHOUT ROWID;

-- A code is known by its SHA-256 only.
CREATE TABLE invitations (
    digest     BLOB    PRIMARY KEY CHECK (length(digest) = 32),
    uses_left  INTEGER NOT NULL CHECK (uses_left >= 0),
    expires_at INTEGER NOT NULL,
    made_by    INTEGER NOT NULL REFERENCES users (id)
) STRICT, WITHOUT ROWID;

-- What requesters have used of the pool, for fair share: millionths of it times milliseconds, as of `at`.
CREATE TABLE usages (
    user_id INTEGER PRIMARY KEY REFERENCES users (id),
    used    INTEGER NOT NULL CHECK (used >= 0),
    at      INTEGER NOT NULL
) STRICT;
