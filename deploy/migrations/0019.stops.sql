-- Stop switches, orders that wait for somebody, and what the health page reads.

-- Who holds which orders back, and until when. A row for each time that a switch was set; lifting it ends the row.
CREATE TABLE send_stop (
    stop_id text PRIMARY KEY,
    scope text NOT NULL CHECK (scope IN ('everything', 'location', 'supplier', 'model')),
    -- A location, a supplier or a model's digest; empty for everything.
    subject text NOT NULL DEFAULT '',
    reason text NOT NULL,
    stopped_by text NOT NULL,
    stopped_via text NOT NULL,
    stopped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lifted_by text,
    lifted_reason text,
    lifted_at timestamptz,
    CHECK ((scope = 'everything') = (subject = ''))
);
-- A switch is on or off: setting it twice is setting it once.
CREATE UNIQUE INDEX send_stop_in_force ON send_stop (scope, subject) WHERE lifted_at IS NULL;
CREATE INDEX send_stop_newest ON send_stop (stopped_at DESC, stop_id);

-- What an operator's program sent under a key of its own, and what it was told: the same key gets the same answer.
CREATE TABLE operator_command (
    command_id text PRIMARY KEY,
    asked_sha256 text NOT NULL,
    answer bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

ALTER TABLE purchase_order
    -- The stop that held the order when it last wanted to go. Cleared when it goes on.
    ADD COLUMN held_by text REFERENCES send_stop,
    ADD COLUMN held_at timestamptz,
    -- Its workflow's patience ended; cleared by the next attempt.
    ADD COLUMN awaits_operator_at timestamptz,
    -- Its workflow is to be told to try again; the relay does that and clears it.
    ADD COLUMN wake_at timestamptz,
    -- Requests that left and of which nobody knows for certain that they left nothing behind at the supplier. Only at
    -- zero may somebody close the order as not ordered.
    ADD COLUMN open_requests integer NOT NULL DEFAULT 0,
    -- Somebody looked at an order that failed: it is no longer listed as a task.
    ADD COLUMN attended_at timestamptz,
    ADD COLUMN attended_by text;
-- What left before this was counted may have arrived.
UPDATE purchase_order SET open_requests = 1 WHERE last_sent_at IS NOT NULL AND state IN ('sending', 'in_doubt');

CREATE INDEX purchase_order_held ON purchase_order (held_by, order_id) WHERE held_by IS NOT NULL;
CREATE INDEX purchase_order_to_wake ON purchase_order (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX purchase_order_unfinished ON purchase_order (cutoff_at, order_id)
    WHERE state IN ('collecting', 'sending', 'in_doubt');
-- The tasks that failed orders are: refused and unattended, in doubt, or given up on until an operator looks.
CREATE INDEX purchase_order_failed ON purchase_order (cutoff_at, order_id)
    WHERE attended_at IS NULL AND (state IN ('refused', 'in_doubt') OR awaits_operator_at IS NOT NULL);
CREATE INDEX purchase_order_by_state ON purchase_order (state, cutoff_at DESC, order_id);
CREATE INDEX purchase_order_by_supplier_cutoff ON purchase_order (supplier, cutoff_at DESC, order_id);
CREATE INDEX purchase_order_by_location_cutoff ON purchase_order (location, cutoff_at DESC, order_id);

-- The stop that holds an order now: the oldest in force that is about it; none: it may go. Asked in the transaction
-- that commits that a request leaves.
CREATE FUNCTION stop_of_order(p_order_id text) RETURNS SETOF send_stop LANGUAGE sql STABLE AS $$
    SELECT s.* FROM send_stop s JOIN purchase_order o ON o.order_id = p_order_id
    WHERE s.lifted_at IS NULL AND (
        s.scope = 'everything'
        OR (s.scope = 'location' AND s.subject = o.location)
        OR (s.scope = 'supplier' AND s.subject = o.supplier)
        OR (s.scope = 'model' AND EXISTS (
            SELECT 1 FROM order_line l JOIN replenishment r ON r.decision_id = l.need_id
            JOIN decision d ON d.decision_id = r.decision_id AND d.revision = r.revision
            WHERE l.order_id = o.order_id AND l.refused_reason IS NULL AND d.model_digest = s.subject)))
    ORDER BY s.stopped_at, s.stop_id LIMIT 1
$$;

-- How far behind the log's end intake was when it last looked: written every few seconds, apart from accepting.
CREATE TABLE intake_lag (
    topic text NOT NULL,
    partition integer NOT NULL,
    behind bigint NOT NULL,
    looked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (topic, partition)
);

-- What is stuck is found without reading what is not.
CREATE INDEX need_open ON need (recorded_at) WHERE state = 'open';
CREATE INDEX replenishment_unseen ON replenishment (recorded_at)
    WHERE workflow_started_at IS NULL AND state = 'proposed';
CREATE INDEX dead_letter_waiting ON dead_letter (error_code, dead_letter_id DESC) WHERE redriven_at IS NULL;

-- The live page and the rates read the newest events only: a page-range index would have them scan every range that it
-- has not summarised yet. Appended at its right edge; beside the page-range index, which it replaces, it costs 6 % more
-- log and no time that can be measured.
CREATE INDEX inbox_newest ON inbox (accepted_at DESC);
DROP INDEX inbox_by_acceptance;
