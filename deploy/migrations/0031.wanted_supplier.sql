-- A person may ask for a proposal from another supplier: the wish stays with the task while it is open.
ALTER TABLE task ADD COLUMN wanted_supplier text;

-- A nap without an instant is a nap too: what is told looks at when it began, not at when it ends.
CREATE OR REPLACE FUNCTION tell_of_task() RETURNS trigger LANGUAGE plpgsql AS $$
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
            WHEN v_old -> 'snoozed_at' IS DISTINCT FROM v_new -> 'snoozed_at'
                THEN CASE WHEN v_new ->> 'snoozed_at' IS NULL THEN 'woken' ELSE 'snoozed' END
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
