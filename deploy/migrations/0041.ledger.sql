-- The ledger is appended to set-wise, knows in which transaction each entry was written, and has one way in.

DO $$
BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the database is encoded in %: make it with ENCODING UTF8, which the ledger hashes',
            current_setting('server_encoding');
    END IF;
END
$$;

-- Of the transaction that appended the entry (pg_current_xact_id); 0 for entries from before this migration. Order of
-- commit, not of numbers, decides what the notary has not seen yet: it looks from the oldest transaction that was
-- still open at its last look.
ALTER TABLE ledger_entry ADD COLUMN written_by bigint NOT NULL DEFAULT 0;
CREATE INDEX ledger_entry_written_by ON ledger_entry USING brin (written_by)
    WITH (pages_per_range = 16, autosummarize = on);
-- Entries that are there already were written without a limit.
ALTER TABLE ledger_entry ADD CONSTRAINT ledger_entry_body_within_64_kib CHECK (octet_length(body) <= 65536) NOT VALID;

-- Entries of one stream are chained in the order given; streams are locked in name order, so that two callers never
-- wait for each other. All of a call are recorded at one instant, taken when the locks are held: within a stream the
-- instants follow the numbers. workflows/domain/ledger.py recomputes the hashes.
CREATE OR REPLACE FUNCTION ledger_append(
    p_streams text[], p_types text[], p_actors text[], p_occurred text[], p_bodies bytea[]
) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_count integer := coalesce(cardinality(p_streams), 0);
    v_recorded text;
    v_seqs integer[];
    v_befores integer[];  -- where the entry before is among those given; NULL where it is in the table or nowhere
    v_heads text[];       -- what is hashed before the previous hash,
    v_shas text[];        -- and after it
    v_prevs text[];
    v_hashes text[] := '{}';
    v_too_long text;
BEGIN
    IF v_count = 0 THEN
        RETURN 0;
    END IF;
    IF cardinality(p_types) <> v_count OR cardinality(p_actors) <> v_count OR cardinality(p_occurred) <> v_count
        OR cardinality(p_bodies) <> v_count THEN
        RAISE EXCEPTION 'ledger_append takes five arrays of one length' USING ERRCODE = 'array_subscript_error';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(s.stream, 7))
        FROM (SELECT DISTINCT stream COLLATE "C" AS stream FROM unnest(p_streams) AS u (stream) ORDER BY 1) AS s;
    v_recorded := to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

    -- A statement of its own: its snapshot is later than the locks.
    WITH given AS (
        SELECT u.*, row_number() OVER w AS rank, lag(u.n) OVER w AS before
        FROM unnest(p_streams, p_types, p_actors, p_occurred, p_bodies)
            WITH ORDINALITY AS u (stream, type, actor, occurred_at, body, n)
        WINDOW w AS (PARTITION BY u.stream COLLATE "C" ORDER BY u.n)
    ), numbered AS (
        SELECT g.n, g.before, coalesce(e.seq, 0) + g.rank AS seq, coalesce(e.hash, repeat('0', 64)) AS prev,
               g.stream, g.type, g.actor, g.occurred_at, encode(sha256(g.body), 'hex') AS sha,
               octet_length(g.body) AS bytes
        FROM given g LEFT JOIN LATERAL (
            SELECT l.seq, l.hash FROM public.ledger_entry l WHERE l.stream = g.stream ORDER BY l.seq DESC LIMIT 1
        ) e ON true
    )
    SELECT array_agg(seq ORDER BY n), array_agg(before ORDER BY n), array_agg(prev ORDER BY n),
           array_agg(sha ORDER BY n), array_agg(
               '12:qm.ledger.v1' || octet_length(stream) || ':' || stream
               || octet_length(seq::text) || ':' || seq || octet_length(type) || ':' || type
               || octet_length(actor) || ':' || actor || octet_length(occurred_at) || ':' || occurred_at
               || octet_length(v_recorded) || ':' || v_recorded || '64:' ORDER BY n),
           min(format('%s of %s has %s bytes', type, stream, bytes)) FILTER (WHERE bytes > 65536)
        INTO v_seqs, v_befores, v_prevs, v_shas, v_heads, v_too_long FROM numbered;
    IF v_too_long IS NOT NULL THEN
        RAISE EXCEPTION 'an entry of the ledger has at most 65536 bytes; %', v_too_long
            USING ERRCODE = 'program_limit_exceeded', HINT = 'Keep the long part as evidence and record its digest.';
    END IF;

    FOR i IN 1 .. v_count LOOP
        IF v_befores[i] IS NOT NULL THEN
            v_prevs[i] := v_hashes[v_befores[i]];
        END IF;
        v_hashes[i] := encode(sha256(convert_to(v_heads[i] || v_prevs[i] || '64:' || v_shas[i], 'UTF8')), 'hex');
    END LOOP;

    INSERT INTO public.ledger_entry
        (stream, seq, type, actor, occurred_at, recorded_at, body, body_sha256, prev_hash, hash, written_by)
        SELECT u.stream, u.seq, u.type, u.actor, u.occurred_at, v_recorded, u.body, u.sha, u.prev, u.hash,
               pg_current_xact_id()::text::bigint
        FROM unnest(p_streams, v_seqs, p_types, p_actors, p_occurred, p_bodies, v_shas, v_prevs, v_hashes)
            AS u (stream, seq, type, actor, occurred_at, body, sha, prev, hash);
    RETURN v_count;
END
$$;

-- What each process may do. Nobody but the owner of the tables may anything by default, functions included; later
-- migrations grant what they add. qm_operator is for commands of the command line: it may what the three processes of
-- the engine may, and load catalogs and histories.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'qm_operator') THEN
        CREATE ROLE qm_operator NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['qm_intake', 'qm_worker', 'qm_console'] LOOP
        -- Whoever administers the server may have done it, and then it may be nobody else's to do.
        IF NOT pg_has_role('qm_operator', v_role, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO qm_operator', v_role);
        END IF;
    END LOOP;
    -- The health page tells which processes are connected, of all roles.
    IF NOT pg_has_role('qm_console', 'pg_read_all_stats', 'MEMBER') THEN
        GRANT pg_read_all_stats TO qm_console;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'a superuser has to: GRANT qm_intake, qm_worker, qm_console TO qm_operator; '
        'GRANT pg_read_all_stats TO qm_console';
END
$$;

ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION
    ledger_append(text[], text[], text[], text[], bytea[]), ledger_part(bytea), ledger_is_append_only(),
    outstanding_units(text, text), refresh_on_order(text, text), line_refusal(text), settle_order(text),
    policy_version_needs_a_change(), policy_change_is_decided_once(), demand_word_is_kept(), standing_signatures(text),
    task_facts(text, integer), task_shows_its_decision(), task_counts(), tell_of_task(), tell_of_order(),
    stop_of_order(text), outlook_of_positions(), outlook_of_decisions()
FROM PUBLIC;
GRANT USAGE ON SCHEMA public
    TO qm_intake, qm_worker, qm_console, qm_notary, qm_auditor, qm_retention, qm_operator;

-- The one way into the ledger.
GRANT EXECUTE ON FUNCTION ledger_append(text[], text[], text[], text[], bytea[])
    TO qm_intake, qm_worker, qm_console, qm_notary, qm_auditor, qm_retention;
GRANT SELECT ON ledger_entry TO qm_intake, qm_worker, qm_console, qm_notary, qm_auditor;

-- Intake takes events in, moves clocks, opens needs, and tells workflows what is owed to them. It decides nothing,
-- approves nothing and adds no line to an order.
GRANT SELECT ON
    approval, business_clock, clock_wait, daily_demand, day_exposure, day_rhythm, dead_letter, decision, evidence,
    inbox, intake_lag, item, kafka_position, live_event, live_floor, location, model_version, movement, need,
    need_batch, notice, notice_preference, notice_told, observed_lead_time, order_line, order_shortage, person,
    position, purchase_order, replenishment, send_stop, setting, sourcing, stockout_day, substitute, supplier, task
TO qm_intake;
GRANT INSERT ON
    business_clock, daily_demand, day_exposure, day_rhythm, dead_letter, inbox, intake_lag, kafka_position, live_event,
    live_floor, movement, need, need_batch, notice, notice_told, observed_lead_time, order_shortage, position,
    stockout_day
TO qm_intake;
GRANT UPDATE ON
    business_clock, clock_wait, daily_demand, day_exposure, day_rhythm, dead_letter, intake_lag, kafka_position,
    live_floor, need, need_batch, notice, notice_told, position, purchase_order, task
TO qm_intake;
GRANT UPDATE (heard_at) ON approval TO qm_intake;
GRANT UPDATE (workflow_started_at) ON replenishment TO qm_intake;
GRANT UPDATE (received_units, short_units) ON order_line TO qm_intake;
GRANT UPDATE (blocked, blocked_at) ON supplier TO qm_intake;
GRANT UPDATE ON sourcing TO qm_intake;
GRANT DELETE ON live_event, notice, notice_told TO qm_intake;
GRANT EXECUTE ON FUNCTION outstanding_units(text, text), refresh_on_order(text, text), settle_order(text) TO qm_intake;

-- The worker decides, records what comes of it, and sends orders. It changes no event, no person and no policy.
GRANT SELECT ON
    approval, business_clock, clock_wait, compared_week, daily_demand, day_exposure, day_rhythm, decision,
    demand_adjustment, demand_definition, demand_withdrawal, drift_alarm, drift_day, drift_report, external_driver,
    item, live_event, location, model_version, movement, need, need_batch, notice, observed_lead_time, order_line,
    order_shortage, outcome, person, policy_change, policy_version, position, position_outlook, purchase_order,
    recorded_demand, replenishment, send_stop, setting, shelf_finding, shelf_watch, sourcing, stockout_day, substitute,
    supplier, task
TO qm_worker;
GRANT INSERT ON
    approval, clock_wait, compared_week, decision, demand_adjustment, drift_alarm, drift_day, drift_report, live_event,
    model_version, order_line, outcome, purchase_order, replenishment, shelf_finding, shelf_watch, task
TO qm_worker;
GRANT UPDATE ON
    clock_wait, drift_alarm, model_version, need, need_batch, order_line, outcome, position, purchase_order,
    replenishment, shelf_finding, shelf_watch, task
TO qm_worker;
GRANT UPDATE (voided_at, void_reason, heard_at) ON approval TO qm_worker;
GRANT DELETE ON compared_week TO qm_worker;
GRANT EXECUTE ON FUNCTION
    outstanding_units(text, text), refresh_on_order(text, text), line_refusal(text), settle_order(text),
    standing_signatures(text), task_facts(text, integer), stop_of_order(text)
TO qm_worker;

-- Who proposes does not approve: of answers the worker writes one alone, that nobody gave any.
CREATE FUNCTION approval_is_no_workers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user = 'qm_worker' AND NEW.meaning <> 'expire' THEN
        RAISE EXCEPTION 'the worker answers no task: % is refused', NEW.meaning USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER approval_by_people BEFORE INSERT ON approval
    FOR EACH ROW EXECUTE FUNCTION approval_is_no_workers();

-- The console shows everything, and writes what people do: answers, words, views, switches, policies, sessions, and
-- tables of the catalog that they bring. It makes no decision, adds no line to an order and takes no event in.
GRANT SELECT ON
    api_token, approval, business_clock, clock_wait, compared_week, console_session, daily_demand, day_exposure,
    day_rhythm, dead_letter, decision, demand_adjustment, demand_definition, demand_withdrawal, drift_alarm, drift_day,
    drift_report, external_driver, figure_snapshot, forecast_answer, inbox, intake_lag, item, kafka_position,
    live_event, live_floor, location, model_version, movement, need, need_batch, notice, notice_preference,
    notice_told, observed_lead_time, operator_command, order_line, order_shortage, outcome, person, policy_change,
    policy_version, position, position_outlook, purchase_order, recorded_demand, replenishment, sales_day,
    sales_leader, saved_view, send_stop, setting, shelf_finding, shelf_watch, sourcing, spent_ticket, stockout_day,
    substitute, supplier, task, task_comment
TO qm_console;
GRANT INSERT ON
    api_token, approval, console_session, figure_snapshot, forecast_answer, live_event, live_floor, notice_preference,
    operator_command, person, policy_change, policy_version, sales_day, sales_leader, saved_view, send_stop,
    spent_ticket, substitute, task_comment
TO qm_console;
GRANT UPDATE ON
    api_token, console_session, dead_letter, figure_snapshot, live_floor, model_version, need, notice,
    notice_preference, notice_told, order_line, person, policy_change, position, purchase_order, replenishment,
    saved_view, send_stop, substitute, task
TO qm_console;
-- An answer is voided, never changed.
GRANT UPDATE (voided_at, void_reason, withdrawn_command, heard_at) ON approval TO qm_console;
GRANT DELETE ON
    api_token, console_session, forecast_answer, live_event, notice, notice_told, sales_day, sales_leader, saved_view,
    spent_ticket, substitute
TO qm_console;
GRANT EXECUTE ON FUNCTION
    outstanding_units(text, text), refresh_on_order(text, text), standing_signatures(text), task_facts(text, integer),
    stop_of_order(text)
TO qm_console;

GRANT INSERT, UPDATE ON item, sourcing, supplier TO qm_console;

GRANT INSERT, UPDATE ON external_driver, location, observed_lead_time, recorded_demand, setting TO qm_operator;
GRANT INSERT ON demand_adjustment, demand_definition, demand_withdrawal, shelf_finding TO qm_operator;

-- An auditor trusts what the ledger proves and reads nothing else; the notary's tables and evidence follow.
GRANT SELECT ON evidence TO qm_auditor, qm_worker, qm_console;
GRANT INSERT ON evidence TO qm_worker;
