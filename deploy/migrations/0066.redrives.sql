-- A dead letter is sent again by two people: one asks and says why, another confirms exactly those bytes, or declines.

-- One person under two spellings is one: case, blanks, width and what nobody sees tell nobody apart.
CREATE FUNCTION one_person(p_name text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT btrim(regexp_replace(regexp_replace(
        normalize(lower(normalize(p_name, NFKC)), NFKC), '[\u00AD\u061C\u200B-\u200F\u202A-\u202E\u2060-\u206F\uFEFF]', '', 'g'
    ), '[[:space:]]+', ' ', 'g'))
$$;
GRANT EXECUTE ON FUNCTION one_person(text) TO qm_console;

CREATE TABLE redrive (
    redrive_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dead_letter_id bigint NOT NULL REFERENCES dead_letter,
    state text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'confirmed', 'declined', 'withdrawn')),
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason text NOT NULL CHECK (btrim(reason) <> ''),
    -- Mended bytes to send instead; NULL: those of the letter.
    payload bytea,
    -- Of what is sent, fixed when it is asked.
    payload_sha256 text NOT NULL,
    decided_by text,
    decided_at timestamptz,
    decided_reason text NOT NULL DEFAULT '',
    -- The broker has acknowledged it; a confirmed one without it may be sent, and whoever confirmed it says so again.
    sent_at timestamptz,
    CHECK ((state = 'asked') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
    CHECK (sent_at IS NULL OR state = 'confirmed'),
    CHECK (state <> 'declined' OR btrim(decided_reason) <> ''),
    CHECK (payload IS NULL OR payload_sha256 = encode(sha256(payload), 'hex')),
    -- Four eyes, whatever the program believes; and what is asked is taken back by nobody else.
    CONSTRAINT redrive_four_eyes CHECK (
        state NOT IN ('confirmed', 'declined') OR one_person(decided_by) <> one_person(asked_by)
    ),
    CONSTRAINT redrive_own_word CHECK (state <> 'withdrawn' OR one_person(decided_by) = one_person(asked_by))
);
CREATE UNIQUE INDEX redrive_asked_once ON redrive (dead_letter_id) WHERE state = 'asked';
CREATE INDEX redrive_of_letter ON redrive (dead_letter_id, redrive_id DESC);

-- What was asked stays what it was, is decided once and sent once, and only while the letter is as it was then.
CREATE FUNCTION redrive_is_decided_once() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    v_letter dead_letter%ROWTYPE;
BEGIN
    IF TG_OP NOT IN ('INSERT', 'UPDATE') THEN
        RAISE EXCEPTION 'what was said of a dead letter is never removed: % is refused', TG_OP
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT * INTO v_letter FROM dead_letter WHERE dead_letter_id = NEW.dead_letter_id;
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'asked' OR (NEW.payload IS NULL AND NEW.payload_sha256 IS DISTINCT FROM encode(sha256(v_letter.payload), 'hex')) THEN
            RAISE EXCEPTION 'a re-drive is asked for first, of the very bytes: % is refused', NEW.state
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.redrive_id, NEW.dead_letter_id, NEW.asked_by, NEW.asked_at, NEW.reason, NEW.payload, NEW.payload_sha256)
       IS DISTINCT FROM
       (OLD.redrive_id, OLD.dead_letter_id, OLD.asked_by, OLD.asked_at, OLD.reason, OLD.payload, OLD.payload_sha256)
       OR NOT (
           (OLD.state = 'asked' AND NEW.state <> 'asked' AND NEW.sent_at IS NULL)
           OR (OLD.state = 'confirmed' AND OLD.sent_at IS NULL AND NEW.sent_at IS NOT NULL
               AND (NEW.state, NEW.decided_by, NEW.decided_at, NEW.decided_reason)
                   IS NOT DISTINCT FROM (OLD.state, OLD.decided_by, OLD.decided_at, OLD.decided_reason))
       ) THEN
        RAISE EXCEPTION 're-drive % is decided once and never altered', OLD.redrive_id USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.state = 'asked' AND NEW.state = 'confirmed' AND (
        v_letter.redriven_at > NEW.asked_at
        OR (NEW.payload IS NULL AND NEW.payload_sha256 IS DISTINCT FROM encode(sha256(v_letter.payload), 'hex'))
    ) THEN
        RAISE EXCEPTION 'dead letter % is not what it was when re-drive % was asked for', NEW.dead_letter_id,
            NEW.redrive_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER redrive_guard BEFORE INSERT OR UPDATE OR DELETE ON redrive
    FOR EACH ROW EXECUTE FUNCTION redrive_is_decided_once();
CREATE TRIGGER redrive_keep BEFORE TRUNCATE ON redrive
    FOR EACH STATEMENT EXECUTE FUNCTION redrive_is_decided_once();

-- No letter was sent again but by two people, and what two people agreed on is what lies there.
CREATE FUNCTION letter_is_sent_by_two() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (NEW.topic, NEW.message_key, NEW.payload, NEW.payload_sha256, NEW.traceparent)
       IS DISTINCT FROM (OLD.topic, OLD.message_key, OLD.payload, OLD.payload_sha256, OLD.traceparent) THEN
        RAISE EXCEPTION 'dead letter % stays as it came', OLD.dead_letter_id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.redriven_at IS DISTINCT FROM OLD.redriven_at AND NOT EXISTS (
        SELECT 1 FROM redrive
        WHERE dead_letter_id = NEW.dead_letter_id AND state = 'confirmed' AND sent_at = NEW.redriven_at
    ) THEN
        RAISE EXCEPTION 'dead letter % is sent again only once a second person has confirmed it', OLD.dead_letter_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER letter_is_sent_by_two
    BEFORE UPDATE OF topic, message_key, payload, payload_sha256, traceparent, redriven_at ON dead_letter
    FOR EACH ROW EXECUTE FUNCTION letter_is_sent_by_two();

GRANT SELECT, INSERT ON redrive TO qm_console;
GRANT UPDATE (state, decided_by, decided_at, decided_reason, sent_at) ON redrive TO qm_console;

CREATE OR REPLACE FUNCTION ledger_types(p_user name) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT array_agg(type) FROM (VALUES
        ('qm_intake', ARRAY['events.accepted', 'catalog.changed', 'order.received', 'order.closed', 'task.woken',
            'setting.changed']),
        ('qm_worker', ARRAY['holds.recorded', 'decision.proposed', 'decision.released', 'decision.closed',
            'decision.replayed', 'decision.counterfactual', 'task.opened', 'task.reminded', 'task.escalated',
            'task.woken', 'task.wish_dropped', 'verdict.recorded', 'approval.voided', 'order.line_refused',
            'order.prepared', 'order.sent', 'order.answered', 'order.closed', 'order.held', 'order.awaits_operator',
            'outcome.measured', 'model.trained', 'model.judged', 'model.promoted', 'model.rolled_back',
            'drift.alarmed', 'drift.ended', 'demand.adjusted', 'shelf.suspected', 'shelf.settled',
            'history.exported', 'workflow.overridden', 'reconciliation.reported', 'setting.changed']),
        ('qm_console', ARRAY['catalog.changed', 'policy.adopted', 'policy.proposed', 'policy.approved',
            'policy.rejected', 'policy.refused', 'decision.closed', 'decision.replayed', 'decision.counterfactual',
            'task.reminded', 'task.escalated', 'task.claimed', 'task.released_claim', 'task.snoozed', 'task.woken',
            'task.commented', 'task.forwarded', 'task.rescore_asked', 'task.wish_dropped', 'substitute.named',
            'verdict.recorded', 'verdict.refused', 'verdict.signed', 'verdict.withdrawn', 'approval.voided',
            'order.held', 'order.awaits_operator', 'order.retried', 'order.attended', 'order.answered', 'difference.explained',
            'order.closed', 'model.promoted', 'model.rolled_back', 'dead_letter.redriven',
            'dead_letter.redrive_asked', 'dead_letter.redrive_confirmed', 'dead_letter.redrive_declined',
            'dead_letter.redrive_withdrawn', 'sending.stopped',
            'sending.resumed', 'audit.read', 'export.made', 'person.changed', 'person.erased', 'access.refused',
            'session.opened', 'session.ended', 'setting.changed']),
        ('qm_operator', ARRAY['history.imported', 'demand.defined', 'demand.adjusted', 'demand.withdrawn',
            'drivers.imported', 'shelf.suspected', 'shelf.settled', 'person.erased']),
        ('qm_notary', ARRAY['notary.key_installed', 'notary.key_rotated', 'setting.changed']),
        ('qm_auditor', ARRAY['audit.read', 'export.made', 'decision.replayed', 'decision.counterfactual']),
        ('qm_retention', ARRAY['person.changed', 'person.erased'])
    ) AS may (role, types), unnest(types) AS type
    WHERE pg_has_role(p_user, role, 'MEMBER')
$$;
