-- Evidence beside the inputs: snapshots and their parts, holds, items of batches, models, policies, histories. Each is
-- kept once, under the SHA-256 of its uncompressed bytes.

CREATE TABLE evidence_part (
    sha256 text PRIMARY KEY,
    kind text NOT NULL,
    -- 'raw', 'zlib', or 'zlib' with the dictionary that is named.
    codec text NOT NULL CHECK (codec IN ('raw', 'zlib')),
    dictionary text REFERENCES evidence_part (sha256),
    -- Of the uncompressed bytes.
    size bigint NOT NULL CHECK (size >= 0),
    kept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body bytea NOT NULL
);
-- It is compressed already.
ALTER TABLE evidence_part ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE FUNCTION evidence_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'evidence stays as it was recorded: % is refused', TG_OP;
END
$$;
DO $$
DECLARE
    v_table text;
BEGIN
    FOREACH v_table IN ARRAY ARRAY['evidence', 'evidence_part'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON %I
                        FOR EACH ROW EXECUTE FUNCTION evidence_is_append_only()', v_table || '_no_change', v_table);
        EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT
                        EXECUTE FUNCTION evidence_is_append_only()', v_table || '_no_truncate', v_table);
    END LOOP;
END
$$;

REVOKE ALL ON evidence, evidence_part FROM PUBLIC;
GRANT SELECT, INSERT ON evidence, evidence_part TO qm_worker;
GRANT SELECT, INSERT ON evidence_part TO qm_intake;
GRANT SELECT ON evidence, evidence_part TO qm_auditor, qm_console;
