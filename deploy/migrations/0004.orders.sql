-- Purchase orders: one per supplier, location, order cycle and part; one line per need.

CREATE TABLE purchase_order (
    order_id text PRIMARY KEY,
    key text NOT NULL UNIQUE,
    supplier text NOT NULL,
    location text NOT NULL,
    cycle text NOT NULL,
    part integer NOT NULL,
    state text NOT NULL DEFAULT 'collecting' CHECK (state IN (
        'collecting', 'sending', 'in_doubt', 'placed', 'refused', 'received', 'closed', 'empty', 'withheld')),
    currency text NOT NULL,
    cutoff_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    workflow_started_at timestamptz,
    traceparent text,
    payload bytea,
    lines_digest text,
    ordered_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    lease_token text,
    lease_until timestamptz,
    last_sent_at timestamptz,
    supplier_number text,
    promised_at timestamptz,
    acknowledged_at timestamptz,
    shipped_at timestamptz,
    delayed boolean NOT NULL DEFAULT false,
    -- Of the newest word about the expected day.
    promised_news_at timestamptz,
    reason text NOT NULL DEFAULT '',
    settled_at timestamptz,
    told_at timestamptz,
    UNIQUE (supplier, location, cycle, part)
);
CREATE INDEX purchase_order_unstarted ON purchase_order (created_at) WHERE workflow_started_at IS NULL;
CREATE INDEX purchase_order_untold ON purchase_order (settled_at) WHERE settled_at IS NOT NULL AND told_at IS NULL;

CREATE TABLE order_line (
    order_id text NOT NULL REFERENCES purchase_order,
    need_id text NOT NULL UNIQUE REFERENCES replenishment (decision_id),
    item text NOT NULL,
    location text NOT NULL,
    units bigint NOT NULL CHECK (units > 0),
    unit_cost numeric(16, 4) NOT NULL,
    proposal_hash text NOT NULL,
    line_no integer,
    refused_reason text,
    received_units bigint NOT NULL DEFAULT 0,
    short_units bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (order_id, need_id)
);
CREATE INDEX order_line_by_position ON order_line (location, item);
CREATE INDEX order_line_by_item ON order_line (order_id, item);

-- Units that a supplier said will never come; rows, not a counter, so that a redelivered event changes nothing.
CREATE TABLE order_shortage (
    source text NOT NULL,
    event_id text NOT NULL,
    order_id text NOT NULL,
    item text NOT NULL,
    units integer NOT NULL,
    PRIMARY KEY (source, event_id, item)
);
CREATE INDEX order_shortage_by_order ON order_shortage (order_id);

-- Units that orders will still bring to each of these positions. One definition for everybody who asks.
CREATE FUNCTION outstanding_units(p_location text, p_item text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(greatest(0, l.units - l.received_units - l.short_units)), 0)
    FROM order_line l JOIN purchase_order o USING (order_id)
    WHERE l.location = p_location AND l.item = p_item AND l.refused_reason IS NULL
      AND o.state IN ('collecting', 'sending', 'in_doubt', 'placed')
$$;

-- Brings the positions of an order's lines (or of one item of it) up to date.
-- Locks first and counts in a second statement: a new statement sees what the transactions it waited for have committed.
CREATE FUNCTION refresh_on_order(p_order_id text, p_item text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM position p JOIN (SELECT DISTINCT location, item FROM order_line
          WHERE order_id = p_order_id AND (p_item IS NULL OR item = p_item)) l
        USING (location, item) ORDER BY p.location, p.item FOR UPDATE OF p;
    UPDATE position p SET on_order_units = outstanding_units(p.location, p.item)
    FROM (SELECT DISTINCT location, item FROM order_line
          WHERE order_id = p_order_id AND (p_item IS NULL OR item = p_item)) l
    WHERE p.location = l.location AND p.item = l.item;
END
$$;

-- The send gate. A line may go out only if its proposal is the current revision and either was released by policy
-- (tier auto) or carries a standing approval for exactly this hash and these units. Nothing that a workflow believes
-- can get past it. Returns null when the line is authorised, else the reason.
CREATE FUNCTION line_refusal(p_need_id text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN (o.supplier, o.location) <> (r.supplier, r.location) THEN 'the order is not one for this proposal'
        WHEN (l.item, l.location, l.unit_cost) <> (r.item, r.location, r.unit_cost)
            THEN 'the line is not what was proposed'
        WHEN l.proposal_hash <> r.proposal_hash THEN 'the proposal changed after the line was released'
        WHEN r.state <> 'released' THEN 'the proposal is ' || r.state
        WHEN s.blocked THEN 'the supplier is blocked'
        WHEN r.tier = 'auto' AND l.units = r.units THEN NULL
        WHEN r.tier = 'auto' THEN 'the units are not those of the proposal'
        WHEN r.tier = 'blocked' THEN 'the proposal is blocked'
        WHEN a.approval_id IS NULL THEN 'no standing approval for this proposal'
        WHEN a.meaning = 'approve' AND l.units = r.units THEN NULL
        WHEN a.meaning = 'approve_edited' AND l.units = a.units THEN NULL
        ELSE 'the units are not those that were approved'
    END
    FROM order_line l
    JOIN purchase_order o ON o.order_id = l.order_id
    JOIN replenishment r ON r.decision_id = l.need_id
    LEFT JOIN supplier s ON s.supplier = r.supplier
    LEFT JOIN approval a ON a.decision_id = l.need_id AND a.proposal_hash = l.proposal_hash
        AND a.voided_at IS NULL AND a.meaning IN ('approve', 'approve_edited')
    WHERE l.need_id = p_need_id
$$;

-- Spread what arrived (and what never will) over an order's lines in need order, and settle the order when nothing is
-- outstanding. A function of the recorded facts alone, so news may come late, twice or before the placement is noted.
-- Returns the state that it settled in now, else null.
CREATE FUNCTION settle_order(p_order_id text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_state text;
BEGIN
    -- One at a time, and in a statement of its own: the next one then sees the receipts of whoever was first.
    PERFORM 1 FROM purchase_order WHERE order_id = p_order_id FOR UPDATE;
    WITH line AS (
        SELECT need_id, item, units,
               sum(units) OVER (PARTITION BY item ORDER BY need_id) - units AS before
        FROM order_line WHERE order_id = p_order_id AND refused_reason IS NULL
    ), arrived AS (
        SELECT item, sum(on_hand_delta) AS units FROM movement
        WHERE order_id = p_order_id AND kind = 'receipt' GROUP BY item
    ), short AS (
        SELECT item, sum(units) AS units FROM order_shortage WHERE order_id = p_order_id GROUP BY item
    ), spread AS (
        SELECT l.need_id,
               least(l.units, greatest(0, coalesce(a.units, 0) - l.before)) AS received,
               least(l.units, greatest(0, coalesce(a.units, 0) + coalesce(s.units, 0) - l.before)) AS done
        FROM line l LEFT JOIN arrived a USING (item) LEFT JOIN short s USING (item)
    )
    UPDATE order_line l SET received_units = s.received, short_units = s.done - s.received
    FROM spread s WHERE l.order_id = p_order_id AND l.need_id = s.need_id;

    UPDATE purchase_order o
    SET state = CASE WHEN EXISTS (SELECT 1 FROM order_line l WHERE l.order_id = o.order_id AND l.short_units > 0)
                     THEN 'closed' ELSE 'received' END,
        settled_at = clock_timestamp()
    WHERE o.order_id = p_order_id AND o.state = 'placed'
      AND NOT EXISTS (SELECT 1 FROM order_line l WHERE l.order_id = o.order_id AND l.refused_reason IS NULL
                      AND l.received_units + l.short_units < l.units)
    RETURNING o.state INTO v_state;
    PERFORM refresh_on_order(p_order_id);
    RETURN v_state;
END
$$;
