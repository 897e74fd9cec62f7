-- What people see move without asking: an outbox of changes to tasks and orders, kept for a day.

-- Numbers are taken before the commit, so they may become visible out of order. Whoever reads takes rows of transactions
-- that are older than every running one, in the order (xid, seq): nothing can appear before what was read already.
CREATE TABLE live_event (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL CHECK (kind IN ('task', 'order')),
    body jsonb NOT NULL,
    PRIMARY KEY (xid, seq)
);
CREATE INDEX live_event_by_age ON live_event (at);

-- The newest event that was thrown away: who stopped reading before it must read everything anew.
CREATE TABLE live_floor (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    xid xid8 NOT NULL,
    seq bigint NOT NULL
);

CREATE FUNCTION tell_of_task() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- Read as documents: columns that later versions add are told of too.
    v_new jsonb := to_jsonb(NEW);
    v_old jsonb;
    v_kind text := 'opened';
    v_by text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        v_old := to_jsonb(OLD);
        -- Bookkeeping of the engine that nobody sees.
        IF v_old - '{rescore_asked_at,rescores,rescores_changed,available_units,tolerance_units}'::text[]
           = v_new - '{rescore_asked_at,rescores,rescores_changed,available_units,tolerance_units}'::text[] THEN
            RETURN NULL;
        END IF;
        v_kind := CASE
            WHEN OLD.state <> NEW.state THEN NEW.state
            WHEN OLD.proposal_hash <> NEW.proposal_hash THEN 'rescored'
            WHEN v_old -> 'claimed_by' IS DISTINCT FROM v_new -> 'claimed_by'
                THEN CASE WHEN v_new ->> 'claimed_by' IS NULL THEN 'unclaimed' ELSE 'claimed' END
            WHEN v_old -> 'snoozed_until' IS DISTINCT FROM v_new -> 'snoozed_until'
                THEN CASE WHEN v_new ->> 'snoozed_until' IS NULL THEN 'woken' ELSE 'snoozed' END
            WHEN v_old -> 'forwarded_to' IS DISTINCT FROM v_new -> 'forwarded_to' THEN 'forwarded'
            WHEN v_old -> 'first_signature_by' IS DISTINCT FROM v_new -> 'first_signature_by' THEN 'signed'
            WHEN OLD.escalated_at IS DISTINCT FROM NEW.escalated_at THEN 'escalated'
            WHEN OLD.reminded_at IS DISTINCT FROM NEW.reminded_at THEN 'reminded'
            ELSE 'changed'
        END;
        v_by := CASE
            WHEN OLD.state <> NEW.state THEN NEW.answered_by
            WHEN v_kind IN ('claimed', 'unclaimed') THEN coalesce(v_new ->> 'claimed_by', v_old ->> 'claimed_by')
            WHEN v_kind = 'signed' THEN v_new ->> 'first_signature_by'
        END;
    END IF;
    INSERT INTO live_event (kind, body) VALUES ('task', jsonb_build_object(
        'decision_id', NEW.decision_id, 'location', NEW.location, 'item', NEW.item, 'state', NEW.state,
        'version', coalesce((v_new ->> 'version')::bigint, NEW.revision), 'by', v_by, 'kind', v_kind));
    PERFORM pg_notify('quartermaster_live', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER task_live AFTER INSERT OR UPDATE ON task FOR EACH ROW EXECUTE FUNCTION tell_of_task();

CREATE FUNCTION tell_of_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO live_event (kind, body) VALUES ('order', jsonb_build_object(
        'order_id', NEW.order_id, 'supplier', NEW.supplier, 'location', NEW.location, 'state', NEW.state));
    PERFORM pg_notify('quartermaster_live', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER purchase_order_live_new AFTER INSERT ON purchase_order
    FOR EACH ROW EXECUTE FUNCTION tell_of_order();
CREATE TRIGGER purchase_order_live AFTER UPDATE ON purchase_order
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION tell_of_order();
