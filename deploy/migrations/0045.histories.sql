-- Histories of closed workflows, kept before Temporal's retention removes them; and changes of settings and schema.

CREATE TABLE workflow_history (
    workflow_id text NOT NULL,
    run_id text NOT NULL,
    type text NOT NULL,
    -- How it was closed, in Temporal's words.
    status text NOT NULL,
    started_at timestamptz NOT NULL,
    closed_at timestamptz NOT NULL,
    events bigint NOT NULL,
    -- Of the uncompressed canonical JSON; NULL where the history was gone before it could be read.
    sha256 text,
    size bigint,
    -- zlib.
    body bytea,
    kept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (workflow_id, run_id),
    CHECK ((sha256 IS NULL) = (body IS NULL) AND (size IS NULL) = (body IS NULL))
);
ALTER TABLE workflow_history ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX workflow_history_closed ON workflow_history (closed_at);

-- What was ended or reset past the engine, each noticed once: a run that was reset is seen while it runs and again
-- when it is closed.
CREATE TABLE workflow_override (
    workflow_id text NOT NULL,
    run_id text NOT NULL,
    what text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (workflow_id, run_id, what)
);

-- How far the sweeper is. One row.
CREATE TABLE history_sweep (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    -- Everything that was closed before is kept, or known to be lost.
    swept_through timestamptz NOT NULL,
    -- Where the pass is that goes on: before it when it began again from the start.
    passed_through timestamptz NOT NULL,
    -- When it last began again from the start, for what visibility told late.
    relisted_at timestamptz NOT NULL,
    -- How long the namespace keeps what is closed; 0 while nobody has asked.
    retention_seconds bigint NOT NULL CHECK (retention_seconds >= 0)
);
-- A sweeper that never comes is late from now on.
INSERT INTO history_sweep (swept_through, passed_through, relisted_at, retention_seconds)
    VALUES (clock_timestamp(), clock_timestamp(), 'epoch', 0);

CREATE FUNCTION histories_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'histories stay as they were kept: % is refused', TG_OP;
END
$$;
DO $$
DECLARE
    v_table text;
BEGIN
    FOREACH v_table IN ARRAY ARRAY['workflow_history', 'workflow_override'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON %I
                        FOR EACH ROW EXECUTE FUNCTION histories_are_append_only()', v_table || '_no_change', v_table);
        EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT
                        EXECUTE FUNCTION histories_are_append_only()', v_table || '_no_truncate', v_table);
    END LOOP;
END
$$;

REVOKE ALL ON workflow_history, workflow_override, history_sweep FROM PUBLIC;
GRANT SELECT, INSERT ON workflow_history, workflow_override TO qm_worker;
GRANT SELECT, INSERT, UPDATE ON history_sweep TO qm_worker;
GRANT SELECT ON workflow_history TO qm_auditor, qm_console;
GRANT SELECT ON history_sweep TO qm_console, qm_intake;

-- What a process was last told: the body of the newest entry of its stream. For roles that may not read the ledger.
CREATE FUNCTION setting_last_recorded(p_stream text) RETURNS bytea
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT body FROM public.ledger_entry WHERE stream = p_stream AND p_stream LIKE 'setting:%'
    ORDER BY seq DESC LIMIT 1
$$;
REVOKE ALL ON FUNCTION setting_last_recorded(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION setting_last_recorded(text) TO qm_intake, qm_worker, qm_console, qm_notary;

-- Rows of `setting`, whoever changes them. `to_json` escapes text as RFC 8785 does, and the keys stand in its order.
CREATE FUNCTION setting_note_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_key text := CASE WHEN TG_OP = 'DELETE' THEN OLD.key ELSE NEW.key END;
    v_before text := CASE WHEN TG_OP <> 'INSERT' THEN OLD.value END;
    v_after text := CASE WHEN TG_OP <> 'DELETE' THEN NEW.value END;
BEGIN
    IF v_before IS NOT DISTINCT FROM v_after THEN
        RETURN NULL;
    END IF;
    PERFORM public.ledger_append(
        ARRAY['setting:database'], ARRAY['setting.changed'], ARRAY[session_user::text],
        ARRAY[to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')],
        ARRAY[convert_to(
            '{"after":{' || coalesce(to_json(v_key)::text || ':' || to_json(v_after)::text, '')
            || '},"before":{' || coalesce(to_json(v_key)::text || ':' || to_json(v_before)::text, '')
            || '},"process":"database"}', 'UTF8')]);
    RETURN NULL;
END
$$;
CREATE TRIGGER setting_noted AFTER INSERT OR UPDATE OR DELETE ON setting
    FOR EACH ROW EXECUTE FUNCTION setting_note_change();

-- What is done to the tables of the record by whoever may, the engine's own migrations included. Only a superuser can
-- set an event trigger, so `quartermaster migrate` sets it where it may; GRANT and REVOKE do not say which table.
CREATE FUNCTION schema_note_change() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_what record;
    v_record CONSTANT text := '(^|[ .])(ledger_|evidence|notary_|workflow_history|workflow_override|histories_are|schema_note)';
BEGIN
    FOR v_what IN
        SELECT command_tag AS command, coalesce(object_identity, '') AS object, object_type AS kind
            FROM pg_event_trigger_ddl_commands() WHERE TG_EVENT = 'ddl_command_end'
    LOOP
        IF v_what.object ~ v_record OR (v_what.command IN ('GRANT', 'REVOKE') AND v_what.kind IN ('TABLE', 'FUNCTION')) THEN
            PERFORM public.schema_append(v_what.command, v_what.kind, v_what.object);
        END IF;
    END LOOP;
END
$$;
CREATE FUNCTION schema_note_drop() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_what record;
    v_record CONSTANT text := '(^|[ .])(ledger_|evidence|notary_|workflow_history|workflow_override|histories_are|schema_note)';
BEGIN
    FOR v_what IN
        SELECT object_type AS kind, object_identity AS object FROM pg_event_trigger_dropped_objects() WHERE original
    LOOP
        IF v_what.object ~ v_record THEN
            PERFORM public.schema_append(TG_TAG, v_what.kind, v_what.object);
        END IF;
    END LOOP;
END
$$;
CREATE FUNCTION schema_append(p_command text, p_kind text, p_object text) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT public.ledger_append(
        ARRAY['schema'], ARRAY['schema.changed'], ARRAY[session_user::text],
        ARRAY[to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')],
        ARRAY[convert_to(
            '{"command":' || to_json(p_command)::text || ',"kind":' || to_json(p_kind)::text
            || ',"object":' || to_json(left(p_object, 1000))::text || '}', 'UTF8')])
$$;
REVOKE ALL ON FUNCTION schema_append(text, text, text) FROM PUBLIC;
