-- The request that carries an order is a state machine of its own (workflows/domain/requests.py), and each request that
-- leaves has a row before it leaves.

ALTER TABLE purchase_order
    -- Null until the order is prepared.
    ADD COLUMN request text CHECK (request IN ('prepared', 'sending', 'confirmed', 'rejected', 'unknown', 'reconciling',
        'absent', 'duplicate_detected', 'withdrawn')),
    -- Requests that left and may have changed something at the supplier: the n of SENDING(n).
    ADD COLUMN requests integer NOT NULL DEFAULT 0,
    -- When the first of them left that may have been carried out.
    ADD COLUMN first_sent_at timestamptz,
    -- The draft that a confirmation was sent for, and what was drafted.
    ADD COLUMN draft text,
    ADD COLUMN drafted_digest text,
    -- What the connector declared when the order was prepared (workflows/domain/capabilities.py); null: before this.
    ADD COLUMN capability jsonb,
    -- Of the payload's bytes, and what each line's authority was when they were fixed.
    ADD COLUMN payload_sha256 text,
    ADD COLUMN authorised jsonb,
    -- The person who said that the supplier does not have it; of the next request that leaves, and then cleared.
    ADD COLUMN word_by text,
    ADD COLUMN word_at timestamptz;

UPDATE purchase_order SET
    request = CASE
        WHEN state = 'collecting' OR payload IS NULL AND state IN ('empty', 'withheld') THEN NULL
        WHEN state IN ('placed', 'received', 'closed') THEN 'confirmed'
        WHEN state = 'refused' THEN 'rejected'
        WHEN state IN ('empty', 'withheld') THEN 'withdrawn'
        WHEN state = 'in_doubt' THEN 'unknown'
        WHEN last_sent_at IS NULL THEN 'prepared'
        WHEN open_requests > 0 THEN 'sending'
        ELSE 'absent'
    END,
    -- How many requests left was not counted: one did at least.
    requests = CASE WHEN last_sent_at IS NULL THEN 0 ELSE 1 END,
    first_sent_at = last_sent_at,
    payload_sha256 = encode(sha256(payload), 'hex');

CREATE INDEX purchase_order_asks ON purchase_order (supplier, location)
    WHERE request IN ('unknown', 'reconciling', 'duplicate_detected');

-- One row for each request that left, written before it leaves; its answer is filled in once.
CREATE TABLE order_request (
    order_id text NOT NULL REFERENCES purchase_order,
    seq integer NOT NULL,
    -- Of SENDING(n); of a question, the last n that was sent before it.
    n integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('send', 'draft', 'cancel', 'confirm', 'reconcile')),
    lease_token text NOT NULL,
    -- The draft that it is about.
    draft text,
    -- Why it could be sent: nothing left before it, the supplier's word that it has none, or a person's.
    rests_on text NOT NULL DEFAULT '',
    lines_digest text,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at timestamptz,
    -- Null: nobody came to note an answer.
    outcome text CHECK (outcome IN ('confirmed', 'rejected', 'unknown', 'absent', 'duplicate_detected', 'not_carried_out',
        'drafted', 'cancelled', 'listed', 'not_asked')),
    said text NOT NULL DEFAULT '',
    PRIMARY KEY (order_id, seq),
    CHECK ((answered_at IS NULL) = (outcome IS NULL))
);
-- What left before this was counted.
INSERT INTO order_request (order_id, seq, n, kind, lease_token, lines_digest, sent_at, answered_at, outcome, said)
SELECT order_id, 1, 1, 'send', coalesce(lease_token, ''), lines_digest, last_sent_at,
       CASE WHEN request = 'sending' THEN NULL ELSE last_sent_at END,
       CASE request WHEN 'sending' THEN NULL WHEN 'withdrawn' THEN 'not_carried_out' ELSE request END, 'before attempts were kept'
FROM purchase_order WHERE last_sent_at IS NOT NULL AND request IS NOT NULL;

-- No request takes a way that the state machine does not know, whoever asks for it.
CREATE FUNCTION request_moves() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF OLD.request IS DISTINCT FROM NEW.request AND NOT (coalesce(OLD.request, 'collecting'), coalesce(NEW.request, '')) IN (
        ('collecting', 'prepared'),
        -- A process of an earlier release prepared or sent it, and did not know of these states.
        ('collecting', 'unknown'), ('prepared', 'unknown'),
        ('prepared', 'sending'), ('prepared', 'withdrawn'),
        ('sending', 'confirmed'), ('sending', 'rejected'), ('sending', 'unknown'), ('sending', 'absent'),
        ('sending', 'reconciling'), ('sending', 'duplicate_detected'),
        ('unknown', 'reconciling'), ('unknown', 'confirmed'), ('unknown', 'absent'),
        ('reconciling', 'confirmed'), ('reconciling', 'absent'), ('reconciling', 'unknown'),
        ('reconciling', 'duplicate_detected'), ('reconciling', 'withdrawn'),
        ('absent', 'reconciling'), ('absent', 'sending'), ('absent', 'confirmed'), ('absent', 'withdrawn'),
        ('duplicate_detected', 'reconciling'), ('duplicate_detected', 'confirmed')
    ) THEN
        RAISE EXCEPTION 'the request of order % is % and does not become %', NEW.order_id,
            coalesce(OLD.request, 'not prepared'), coalesce(NEW.request, 'nothing') USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.request = 'sending' AND OLD.request IS DISTINCT FROM NEW.request AND (
        NEW.payload IS NULL OR NEW.lease_token IS NULL OR NEW.last_sent_at IS NULL
        OR NEW.requests <> OLD.requests + 1 OR NEW.open_requests < 1) THEN
        RAISE EXCEPTION 'nothing leaves for order % without payload, lease and a count', NEW.order_id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.request = 'confirmed' AND OLD.request IS DISTINCT FROM NEW.request AND NEW.supplier_number IS NULL THEN
        RAISE EXCEPTION 'order % is confirmed by a number of the supplier', NEW.order_id
            USING ERRCODE = 'check_violation';
    END IF;
    -- What left does not change under the supplier's hands.
    IF OLD.request IN ('sending', 'unknown', 'reconciling', 'duplicate_detected')
        AND OLD.payload IS DISTINCT FROM NEW.payload THEN
        RAISE EXCEPTION 'the payload of order % is fixed while it may be at the supplier', NEW.order_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER request_moves BEFORE UPDATE ON purchase_order FOR EACH ROW
    WHEN (OLD.request IS DISTINCT FROM NEW.request OR OLD.payload IS DISTINCT FROM NEW.payload)
    EXECUTE FUNCTION request_moves();

-- What left is not made undone: an answer is filled in once, and nothing else changes.
CREATE FUNCTION request_is_answered_once() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.answered_at IS NOT NULL OR (to_jsonb(NEW) - '{answered_at,outcome,said}'::text[])
        IS DISTINCT FROM (to_jsonb(OLD) - '{answered_at,outcome,said}'::text[]) THEN
        RAISE EXCEPTION 'request % of order % is on the record', OLD.seq, OLD.order_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER request_is_answered_once BEFORE UPDATE OR DELETE ON order_request
    FOR EACH ROW EXECUTE FUNCTION request_is_answered_once();

GRANT SELECT ON order_request TO qm_worker, qm_console;
GRANT INSERT ON order_request TO qm_worker;
GRANT UPDATE (answered_at, outcome, said) ON order_request TO qm_worker;
-- A person's word that the supplier has it settles the order as the worker's would.
GRANT EXECUTE ON FUNCTION settle_order(text) TO qm_console;
