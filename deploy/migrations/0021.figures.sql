-- What pages about stock and sales read: the newest decision's figures beside each position, sales added up by day, and
-- the figures of the home page as of an instant. All of it follows from the other tables and can be made again.

-- One row per position. What its newest decision expected, so that a list of a million positions can be put in order
-- and read a page at a time without opening a decision.
CREATE TABLE position_outlook (
    location text NOT NULL,
    item text NOT NULL,
    -- Null: never assessed.
    decision_id text,
    revision integer,
    kind text,
    decided_at timestamptz,
    risk numeric NOT NULL DEFAULT 0,
    -- Expected lost units of waiting x cost of one of them.
    lost_value numeric NOT NULL DEFAULT 0,
    protection_days integer,
    demand_p10 numeric,
    demand_p50 numeric,
    demand_p90 numeric,
    PRIMARY KEY (location, item)
);
CREATE INDEX position_outlook_worst ON position_outlook (risk, lost_value, location, item);
CREATE INDEX position_outlook_worst_there ON position_outlook (location, risk, lost_value, item);
CREATE INDEX position_outlook_by_item ON position_outlook (item);

CREATE FUNCTION outlook_of_positions() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO position_outlook (location, item)
    SELECT location, item FROM new_row ORDER BY location, item ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER position_gets_outlook AFTER INSERT ON position
    REFERENCING NEW TABLE AS new_row FOR EACH STATEMENT EXECUTE FUNCTION outlook_of_positions();

CREATE FUNCTION outlook_of_decisions() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO position_outlook AS o (location, item, decision_id, revision, kind, decided_at, risk, lost_value,
                                       protection_days, demand_p10, demand_p50, demand_p90)
    SELECT DISTINCT ON (n.location, n.item) n.location, n.item, n.decision_id, n.revision, n.kind, n.decided_at,
           (s.scores ->> 'stockout_risk')::numeric,
           (s.scores ->> 'expected_lost_units')::numeric * (s.inputs ->> 'shortage_per_unit')::numeric,
           (s.scores ->> 'protection_days')::integer, (s.scores ->> 'demand_p10')::numeric,
           (s.scores ->> 'demand_p50')::numeric, (s.scores ->> 'demand_p90')::numeric
    FROM new_row n JOIN evidence e ON e.sha256 = n.inputs_sha256
    CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb AS inputs OFFSET 0) i
    CROSS JOIN LATERAL (SELECT i.inputs, i.inputs -> 'scores' AS scores) s
    ORDER BY n.location, n.item, n.decided_at DESC, n.revision DESC
    ON CONFLICT (location, item) DO UPDATE SET
        decision_id = excluded.decision_id, revision = excluded.revision, kind = excluded.kind,
        decided_at = excluded.decided_at, risk = excluded.risk, lost_value = excluded.lost_value,
        protection_days = excluded.protection_days, demand_p10 = excluded.demand_p10,
        demand_p50 = excluded.demand_p50, demand_p90 = excluded.demand_p90
    WHERE o.decided_at IS NULL OR excluded.decided_at > o.decided_at
       OR (excluded.decided_at = o.decided_at
           AND (excluded.decision_id <> o.decision_id OR excluded.revision >= o.revision));
    RETURN NULL;
END
$$;

INSERT INTO position_outlook (location, item) SELECT location, item FROM position;
INSERT INTO position_outlook AS o (location, item, decision_id, revision, kind, decided_at, risk, lost_value,
                                   protection_days, demand_p10, demand_p50, demand_p90)
SELECT n.location, n.item, n.decision_id, n.revision, n.kind, n.decided_at,
       (s.scores ->> 'stockout_risk')::numeric,
       (s.scores ->> 'expected_lost_units')::numeric * (s.inputs ->> 'shortage_per_unit')::numeric,
       (s.scores ->> 'protection_days')::integer, (s.scores ->> 'demand_p10')::numeric,
       (s.scores ->> 'demand_p50')::numeric, (s.scores ->> 'demand_p90')::numeric
FROM (SELECT DISTINCT ON (location, item) location, item, decision_id, revision, kind, decided_at, inputs_sha256
      FROM decision ORDER BY location, item, decided_at DESC, revision DESC) n
JOIN evidence e ON e.sha256 = n.inputs_sha256
CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb AS inputs OFFSET 0) i
CROSS JOIN LATERAL (SELECT i.inputs, i.inputs -> 'scores' AS scores) s
ON CONFLICT (location, item) DO UPDATE SET
    decision_id = excluded.decision_id, revision = excluded.revision, kind = excluded.kind,
    decided_at = excluded.decided_at, risk = excluded.risk, lost_value = excluded.lost_value,
    protection_days = excluded.protection_days, demand_p10 = excluded.demand_p10, demand_p50 = excluded.demand_p50,
    demand_p90 = excluded.demand_p90;

CREATE TRIGGER decision_gives_outlook AFTER INSERT ON decision
    REFERENCING NEW TABLE AS new_row FOR EACH STATEMENT EXECUTE FUNCTION outlook_of_decisions();

-- Units sold by day; added up again outside of requests: the newest days each time, all days once an hour.
CREATE TABLE sales_day (
    day date NOT NULL,
    location text NOT NULL,
    category text NOT NULL,
    units bigint NOT NULL,
    -- Of them, those of the past that the installation brought along.
    recorded_units bigint NOT NULL,
    priced_units bigint NOT NULL,
    revenue numeric NOT NULL,
    PRIMARY KEY (day, location, category)
);
CREATE INDEX sales_day_there ON sales_day (location, day);
-- Days arrive about in order, so a few pages hold a day's rows; and intake pays next to nothing for it.
CREATE INDEX daily_demand_by_day ON daily_demand USING brin (day) WITH (pages_per_range = 32);

-- What sold most in the newest closed week, and what changed most since the four weeks before; '' is all locations.
CREATE TABLE sales_leader (
    scope text NOT NULL,
    item text NOT NULL,
    newest_units bigint NOT NULL,
    before_units bigint NOT NULL,
    PRIMARY KEY (scope, item)
);

-- The figures of the home page. One row: an older instant is never shown as a newer one.
CREATE TABLE figure_snapshot (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    as_of timestamptz NOT NULL,
    seconds numeric NOT NULL,
    sales_as_of timestamptz,
    sales_seconds numeric NOT NULL DEFAULT 0,
    document bytea NOT NULL
);

-- Decisions of the newest weeks by tier, and those that held.
CREATE INDEX replenishment_by_time ON replenishment (decided_at) INCLUDE (location, tier);
CREATE INDEX need_held_by_time ON need (opened_at) INCLUDE (location) WHERE state = 'held';

-- Forecasts that a program asked for: the same key with the same question gives the same answer.
CREATE TABLE forecast_answer (
    actor text NOT NULL,
    command_id text NOT NULL,
    request_digest text NOT NULL,
    answer bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (actor, command_id)
);
CREATE INDEX forecast_answer_by_age ON forecast_answer (recorded_at);

-- Filters: the categories that there are, and the items of one.
CREATE INDEX item_by_category ON item (category, item);
