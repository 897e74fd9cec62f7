-- Each role appends what its process has to tell and nothing else: the worker records no answer of a person, an auditor
-- no decision, and nobody but the notary its keys. What is appended stays for good, so what no reader could read is
-- refused as well. Whoever owns the tables is not held back, here as anywhere: migrations and the first start need it.

ALTER FUNCTION ledger_append(text[], text[], text[], text[], bytea[]) RENAME TO ledger_chain;
REVOKE ALL ON FUNCTION ledger_chain(text[], text[], text[], text[], bytea[])
    FROM qm_intake, qm_worker, qm_console, qm_notary, qm_auditor, qm_retention, qm_operator;

-- What a role may append; of a role that is a member of others, theirs too. A later migration that adds a type replaces
-- this function: a test holds every type of workflows/domain/ledger.py against it.
CREATE FUNCTION ledger_types(p_user name) RETURNS text[]
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
            'history.exported', 'workflow.overridden', 'setting.changed']),
        ('qm_console', ARRAY['catalog.changed', 'policy.adopted', 'policy.proposed', 'policy.approved',
            'policy.rejected', 'policy.refused', 'decision.closed', 'decision.replayed', 'decision.counterfactual',
            'task.reminded', 'task.escalated', 'task.claimed', 'task.released_claim', 'task.snoozed', 'task.woken',
            'task.commented', 'task.forwarded', 'task.rescore_asked', 'task.wish_dropped', 'substitute.named',
            'verdict.recorded', 'verdict.refused', 'verdict.signed', 'verdict.withdrawn', 'approval.voided',
            'order.held', 'order.awaits_operator', 'order.retried', 'order.attended', 'order.answered',
            'order.closed', 'model.promoted', 'model.rolled_back', 'dead_letter.redriven', 'sending.stopped',
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
REVOKE ALL ON FUNCTION ledger_types(name) FROM PUBLIC;

CREATE FUNCTION ledger_append(
    p_streams text[], p_types text[], p_actors text[], p_occurred text[], p_bodies bytea[]
) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_types text[];
    v_people boolean;
    v_where text;
    v_why text;
BEGIN
    -- Here current_user is the owner. Who signed in is not changed by SET ROLE, nor by functions with others' rights.
    IF pg_has_role(session_user, current_user, 'MEMBER') THEN
        RETURN public.ledger_chain(p_streams, p_types, p_actors, p_occurred, p_bodies);
    END IF;
    v_types := coalesce(public.ledger_types(session_user), '{}');
    IF NOT p_types <@ v_types THEN
        RAISE EXCEPTION '% does not append %', session_user,
            (SELECT string_agg(DISTINCT left(coalesce(t, 'nothing'), 100), ', ')
             FROM unnest(p_types) AS t WHERE t IS NULL OR t <> ALL (v_types))
            USING ERRCODE = 'insufficient_privilege', HINT = 'A role appends what its process has to tell.';
    END IF;
    v_people := 'verdict.signed' = ANY (v_types);
    SELECT u.type || ' of ' || left(u.stream, 200), CASE
            WHEN u.stream = '' OR u.actor = '' THEN 'it has no chain or no author'
            WHEN json_typeof(convert_from(u.body, 'UTF8')::json) <> 'object' THEN 'its body is no object'
            WHEN u.occurred_at !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$' THEN 'its instant is not written as ours are'
            WHEN u.type = 'verdict.recorded' AND NOT v_people
                THEN 'who proposes does not approve: of answers this role records one alone, that nobody gave any'
            ELSE 'it belongs into another chain'
        END INTO v_where, v_why
    FROM unnest(p_streams, p_types, p_actors, p_occurred, p_bodies) AS u (stream, type, actor, occurred_at, body)
    WHERE u.stream = '' OR u.actor = '' OR json_typeof(convert_from(u.body, 'UTF8')::json) <> 'object'
        OR u.occurred_at !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$'
        OR (u.type = 'verdict.recorded' AND NOT v_people
            AND convert_from(u.body, 'UTF8')::json ->> 'meaning' IS DISTINCT FROM 'expire')
        OR (u.type = 'setting.changed' AND u.stream NOT LIKE 'setting:%')
        OR ((u.type IN ('audit.read', 'decision.replayed', 'decision.counterfactual')
            OR u.type = 'export.made' AND NOT v_people) AND u.stream <> 'audit:' || u.actor)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% is refused: %', v_where, v_why USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN public.ledger_chain(p_streams, p_types, p_actors, p_occurred, p_bodies);
END
$$;
REVOKE ALL ON FUNCTION ledger_append(text[], text[], text[], text[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_append(text[], text[], text[], text[], bytea[])
    TO qm_intake, qm_worker, qm_console, qm_notary, qm_auditor, qm_retention;

-- The same for answers themselves, whatever the login of the worker is called.
CREATE OR REPLACE FUNCTION approval_is_no_workers() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.meaning <> 'expire' AND pg_has_role(current_user, 'qm_worker', 'MEMBER')
        AND NOT pg_has_role(current_user, 'qm_console', 'MEMBER') THEN
        RAISE EXCEPTION 'the worker answers no task: % is refused', NEW.meaning USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;

-- Servers that were made before PostgreSQL 15 let everybody make objects here, in the place of ours.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
