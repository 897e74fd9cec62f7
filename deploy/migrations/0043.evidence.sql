-- Evidence beside the inputs: snapshots and their parts, holds, items of batches, models, policies, histories. Each is
-- kept once, under the SHA-256 of its uncompressed bytes. The inputs stay in `evidence` as they are, because SQL reads
-- them: TOAST makes 2.2 kB of their usual 4.9 (zlib would make 1.6).

CREATE TABLE evidence_part (
    sha256 text PRIMARY KEY,
    kind text NOT NULL,
    -- As it is, a zlib stream, or an xz one; where a dictionary is named, zlib with that preset one (RFC 1950, FDICT).
    codec text NOT NULL CHECK (codec IN ('raw', 'zlib', 'xz')),
    dictionary text REFERENCES evidence_part (sha256),
    -- Of the uncompressed bytes.
    size bigint NOT NULL CHECK (size >= 0),
    kept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body bytea NOT NULL
);
-- It is compressed already.
ALTER TABLE evidence_part ALTER COLUMN body SET STORAGE EXTERNAL;

-- Decisions made so far name these.
INSERT INTO evidence_part (sha256, kind, codec, size, body)
SELECT digest, 'policy', 'raw', length(document), document FROM policy_version
WHERE digest = encode(sha256(document), 'hex');

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
-- The console keeps long parts of entries: a policy with thousands of overrides.
GRANT SELECT, INSERT ON evidence_part TO qm_intake, qm_console;
GRANT SELECT ON evidence, evidence_part TO qm_auditor, qm_console;
