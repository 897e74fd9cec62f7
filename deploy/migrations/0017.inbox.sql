-- The inbox: all that a row shows is on the task itself, and so is what people do with it besides answering.

ALTER TABLE task
    -- Raised by everything that changes the row for people; see task_counts below.
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    -- What the decision says, so that a page of the inbox opens no evidence; see task_facts.
    ADD COLUMN item_name text NOT NULL DEFAULT '',
    ADD COLUMN category text NOT NULL DEFAULT '',
    ADD COLUMN supplier text NOT NULL DEFAULT '',
    ADD COLUMN units bigint NOT NULL DEFAULT 1,
    ADD COLUMN currency text NOT NULL DEFAULT '',
    ADD COLUMN stockout_risk numeric NOT NULL DEFAULT 0,
    ADD COLUMN days_of_cover numeric,
    ADD COLUMN rules text[] NOT NULL DEFAULT '{}',
    ADD COLUMN sentence text NOT NULL DEFAULT '',
    ADD COLUMN lead_time_days integer,
    ADD COLUMN order_by timestamptz,
    -- Median units of demand a day: what "until the forecast moves" is measured by.
    ADD COLUMN daily_units numeric NOT NULL DEFAULT 0,
    -- When a later revision took the place of the one before; null: it is the first.
    ADD COLUMN changed_at timestamptz,
    -- A claim ends by the wall clock: whoever reads compares.
    ADD COLUMN claimed_by text,
    ADD COLUMN claim_ends_at timestamptz,
    -- Null: not snoozed. One of the three below says what wakes it.
    ADD COLUMN snoozed_at timestamptz,
    ADD COLUMN snoozed_by text,
    ADD COLUMN snooze_words text NOT NULL DEFAULT '',
    -- An instant of the location's business clock.
    ADD COLUMN snoozed_until timestamptz,
    -- Receipts of the item there that were known when it was snoozed: one more wakes it.
    ADD COLUMN snoozed_receipts bigint,
    -- Median units a day when it was snoozed, and by how many percent they must move.
    ADD COLUMN snoozed_daily_units numeric,
    ADD COLUMN snoozed_percent integer,
    ADD COLUMN forwarded_to text,
    -- Who was asked something and has not said anything since.
    ADD COLUMN asked text[] NOT NULL DEFAULT '{}',
    ADD COLUMN comments integer NOT NULL DEFAULT 0,
    -- A person wants it scored again; the relay passes that on and clears it.
    ADD COLUMN rescore_wanted boolean NOT NULL DEFAULT false,
    -- Worked out with the rest of what a revision shows.
    ALTER COLUMN cost_of_waiting SET DEFAULT 0;

-- What one revision shows in the inbox, from the decision's and its evidence's stored bytes. The cost of waiting is the
-- formula of workflows/domain/urgency.py.
CREATE FUNCTION task_facts(p_decision_id text, p_revision integer) RETURNS TABLE (
    item_name text, category text, supplier text, units bigint, currency text, stockout_risk numeric,
    days_of_cover numeric, rules text[], sentence text, lead_time_days integer, order_by timestamptz,
    daily_units numeric, cost_of_waiting numeric
) LANGUAGE sql STABLE AS $$
    SELECT coalesce(i.body -> 'item' ->> 'name', ''), coalesce(i.body -> 'item' ->> 'category', ''),
           r.body ->> 'supplier', (r.body ->> 'units')::bigint, r.body ->> 'currency',
           coalesce((s.body ->> 'stockout_risk')::numeric, 0),
           CASE WHEN f.daily > 0
                THEN round(greatest(0, (i.body -> 'position' ->> 'on_hand_units')::numeric) / f.daily, 1) END,
           ARRAY(SELECT fired ->> 'code' FROM jsonb_array_elements(r.body -> 'rules') WITH ORDINALITY AS u (fired, n)
                 ORDER BY n),
           coalesce(r.body ->> 'sentence', ''), (s.body ->> 'lead_time_p50_days')::integer,
           (r.body -> 'stakes' ->> 'order_by')::timestamptz, coalesce(f.daily, 0),
           coalesce(round((i.body ->> 'shortage_per_unit')::numeric * f.mean
                          * (s.body ->> 'stockout_risk')::numeric, 2), 0)
    FROM decision d JOIN evidence e ON e.sha256 = d.inputs_sha256
    CROSS JOIN LATERAL (SELECT convert_from(d.body, 'UTF8')::jsonb -> 'result' AS body OFFSET 0) r
    CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb AS body OFFSET 0) i
    CROSS JOIN LATERAL (SELECT i.body -> 'scores' AS body) s
    CROSS JOIN LATERAL (SELECT
        (s.body ->> 'demand_p50')::numeric / greatest(1, (s.body ->> 'protection_days')::numeric) AS daily,
        (0.3 * (s.body ->> 'demand_p10')::numeric + 0.4 * (s.body ->> 'demand_p50')::numeric
         + 0.3 * (s.body ->> 'demand_p90')::numeric)
        / greatest(1, (s.body ->> 'protection_days')::numeric) AS mean) f
    WHERE d.decision_id = p_decision_id AND d.revision = p_revision AND d.kind = 'proposal'
$$;

UPDATE task t SET
    item_name = f.item_name, category = f.category, supplier = f.supplier, units = f.units, currency = f.currency,
    stockout_risk = f.stockout_risk, days_of_cover = f.days_of_cover, rules = f.rules, sentence = f.sentence,
    lead_time_days = f.lead_time_days, order_by = f.order_by, daily_units = f.daily_units,
    cost_of_waiting = f.cost_of_waiting
FROM task was CROSS JOIN LATERAL task_facts(was.decision_id, was.revision) f
WHERE was.decision_id = t.decision_id;

-- Generated once the facts are there.
ALTER TABLE task
    ADD COLUMN sampled boolean GENERATED ALWAYS AS (rules = '{audit_sample}') STORED,
    ADD COLUMN due_at timestamptz GENERATED ALWAYS AS (least(expire_at, order_by)) STORED;

-- Whoever opens a task or puts another revision in its place, a worker of the release before too, has it shown right.
CREATE FUNCTION task_shows_its_decision() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    f record;
BEGIN
    SELECT * INTO f FROM task_facts(NEW.decision_id, NEW.revision);
    IF FOUND THEN
        NEW.item_name := f.item_name;
        NEW.category := f.category;
        NEW.supplier := f.supplier;
        NEW.units := f.units;
        NEW.currency := f.currency;
        NEW.stockout_risk := f.stockout_risk;
        NEW.days_of_cover := f.days_of_cover;
        NEW.rules := f.rules;
        NEW.sentence := f.sentence;
        NEW.lead_time_days := f.lead_time_days;
        NEW.order_by := f.order_by;
        NEW.daily_units := f.daily_units;
        NEW.cost_of_waiting := f.cost_of_waiting;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        NEW.changed_at := clock_timestamp();
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER task_shows_new BEFORE INSERT ON task FOR EACH ROW EXECUTE FUNCTION task_shows_its_decision();
CREATE TRIGGER task_shows_revised BEFORE UPDATE OF revision ON task
    FOR EACH ROW WHEN (OLD.revision <> NEW.revision) EXECUTE FUNCTION task_shows_its_decision();

CREATE FUNCTION task_counts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;
-- Not for the engine's own bookkeeping.
CREATE TRIGGER task_versions BEFORE UPDATE OF
    revision, proposal_hash, state, cost_of_waiting, escalated_at, reminded_at, answered_at, answered_by, claimed_by,
    claim_ends_at, snoozed_at, forwarded_to, asked, comments, signatures_needed, first_signature_by
ON task FOR EACH ROW EXECUTE FUNCTION task_counts();

-- Every view is read in its own order from one of these: dearest first, then the nearest deadline, then the id.
-- Negated, so that one comparison of rows says "after this one"; byte order, so that it is the same everywhere.
DROP INDEX task_open;
CREATE INDEX task_open ON task ((-cost_of_waiting), expire_at, decision_id COLLATE "C") WHERE state = 'open';
CREATE INDEX task_awake ON task ((-cost_of_waiting), expire_at, decision_id COLLATE "C")
    WHERE state = 'open' AND snoozed_at IS NULL;
CREATE INDEX task_awake_there ON task (location, (-cost_of_waiting), expire_at, decision_id COLLATE "C")
    WHERE state = 'open' AND snoozed_at IS NULL;
CREATE INDEX task_awake_from ON task (supplier, (-cost_of_waiting), expire_at, decision_id COLLATE "C")
    WHERE state = 'open' AND snoozed_at IS NULL;
CREATE INDEX task_snoozed ON task ((-cost_of_waiting), expire_at, decision_id COLLATE "C")
    WHERE state = 'open' AND snoozed_at IS NOT NULL;
CREATE INDEX task_escalated ON task ((-cost_of_waiting), expire_at, decision_id COLLATE "C")
    WHERE state = 'open' AND snoozed_at IS NULL AND escalated_at IS NOT NULL;
CREATE INDEX task_sampled ON task ((-cost_of_waiting), expire_at, decision_id COLLATE "C")
    WHERE state = 'open' AND snoozed_at IS NULL AND sampled;
CREATE INDEX task_due ON task (location, due_at) WHERE state = 'open' AND snoozed_at IS NULL;
CREATE INDEX task_claimed ON task (claimed_by) WHERE state = 'open' AND claimed_by IS NOT NULL;
CREATE INDEX task_asked ON task USING gin (asked) WHERE state = 'open' AND asked <> '{}';
CREATE INDEX task_answered ON task (answered_at DESC, decision_id COLLATE "C" DESC) WHERE state <> 'open';
-- What wakes, and what is asked for, is looked for every second: by the few that wait for it.
CREATE INDEX task_wakes_at ON task (location, snoozed_until) WHERE state = 'open' AND snoozed_until IS NOT NULL;
CREATE INDEX task_wakes_on_receipt ON task (decision_id) WHERE state = 'open' AND snoozed_receipts IS NOT NULL;
CREATE INDEX task_rescore_wanted ON task (decision_id) WHERE state = 'open' AND rescore_wanted;
CREATE INDEX movement_receipt ON movement (location, item) WHERE kind = 'receipt';

-- What people write; the ledger has a digest of it. Comments are kept with the task.
CREATE TABLE task_comment (
    comment_id text PRIMARY KEY,
    decision_id text NOT NULL REFERENCES task,
    author text NOT NULL,
    text text NOT NULL,
    to_person text,
    kind text NOT NULL CHECK (kind IN ('comment', 'question', 'forward')),
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX task_comment_by_task ON task_comment (decision_id, at);

CREATE TABLE saved_view (
    view_id text PRIMARY KEY,
    name text NOT NULL,
    owner text NOT NULL,
    shared boolean NOT NULL DEFAULT false,
    view text NOT NULL,
    filters jsonb NOT NULL DEFAULT '{}',
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX saved_view_by_owner ON saved_view (owner);
CREATE INDEX saved_view_shared ON saved_view (name) WHERE shared;

CREATE TABLE substitute (
    person text NOT NULL,
    substitute text NOT NULL,
    first_day date NOT NULL,
    last_day date NOT NULL CHECK (last_day >= first_day),
    named_by text NOT NULL,
    named_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (person, first_day),
    CHECK (person <> substitute)
);
CREATE INDEX substitute_today ON substitute (substitute, last_day);
