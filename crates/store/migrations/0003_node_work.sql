-- What the attempts on a node were paid for, by the day (days since 1970, UTC) on which they ended: a sum over all attempts of a
-- node would look at all attempts of the pool. What is too large for a whole number, which no pool has, is the largest one.
CREATE TABLE node_work (
    node INTEGER NOT NULL REFERENCES nodes (id),
    day  INTEGER NOT NULL,
    paid INTEGER NOT NULL,
    PRIMARY KEY (node, day)
) STRICT, WITHOUT ROWID;

INSERT INTO node_work (node, day, paid)
SELECT node, ended_at / 86400000, sum(cost) FROM attempts WHERE cost > 0 GROUP BY node, ended_at / 86400000;

CREATE TRIGGER attempts_paid_at_once AFTER INSERT ON attempts WHEN NEW.cost > 0
BEGIN
    INSERT INTO node_work (node, day, paid) VALUES (NEW.node, NEW.ended_at / 86400000, NEW.cost)
    ON CONFLICT (node, day) DO UPDATE SET paid = CAST(paid + excluded.paid AS INTEGER);
END;

CREATE TRIGGER attempts_paid AFTER UPDATE OF cost ON attempts WHEN coalesce(NEW.cost, 0) <> coalesce(OLD.cost, 0)
BEGIN
    INSERT INTO node_work (node, day, paid)
    VALUES (NEW.node, coalesce(NEW.ended_at, OLD.ended_at, 0) / 86400000,
        CAST(coalesce(NEW.cost, 0) - coalesce(OLD.cost, 0) AS INTEGER))
    ON CONFLICT (node, day) DO UPDATE SET paid = CAST(paid + excluded.paid AS INTEGER);
END;
