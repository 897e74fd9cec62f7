-- What the notary writes: every committed entry as a leaf of one Merkle tree (RFC 9162), and signed checkpoints of it.

CREATE TABLE ledger_leaf (
    tree_index bigint PRIMARY KEY CHECK (tree_index >= 0),
    stream text NOT NULL,
    seq integer NOT NULL,
    -- The entry's hash as it was when the leaf was made; the leaf is SHA-256(0x00 || these 32 bytes).
    hash text NOT NULL,
    UNIQUE (stream, seq)
);

-- Roots (hex) of whole subtrees of 256^level leaves, from level 1: with them a proof reads some hundred rows of a tree
-- of any size. They follow from the leaves, and the notary compares them when it starts.
CREATE TABLE ledger_node (
    level smallint NOT NULL CHECK (level >= 1),
    node_index bigint NOT NULL CHECK (node_index >= 0),
    hash text NOT NULL,
    PRIMARY KEY (level, node_index)
);

CREATE TABLE ledger_checkpoint (
    number bigint PRIMARY KEY CHECK (number >= 1),
    size bigint NOT NULL CHECK (size >= 0),
    -- Hex; `note` has it in base64.
    root text NOT NULL,
    signed_at timestamptz NOT NULL,
    key_id text NOT NULL,
    -- The whole signed note, as anchors have it.
    note text NOT NULL,
    -- Roots (hex) of the perfect subtrees, left to right, from which the next checkpoint goes on.
    frontier text[] NOT NULL,
    -- Entries of transactions below this number all have their leaf: only the others are looked through.
    horizon bigint NOT NULL DEFAULT 0
);

CREATE TABLE notary_key (
    -- The hash in the verifier key, hex.
    key_id text PRIMARY KEY,
    -- C2SP signed-note verifier key: NAME+HASH+BASE64.
    verifier_key text NOT NULL,
    -- The first checkpoint that it signed.
    first_checkpoint bigint NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The statement of the change, signed by the old and by the new key; NULL for the first key.
    statement bytea,
    old_signature text,
    new_signature text
);

-- What the notary refuses to go on with, or warns of. Not evidence: operators look here.
CREATE TABLE notary_alarm (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    detail text NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
CREATE UNIQUE INDEX notary_alarm_open ON notary_alarm (kind) WHERE ended_at IS NULL;

CREATE FUNCTION notary_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what the notary wrote stays: % is refused', TG_OP;
END
$$;
DO $$
DECLARE
    v_table text;
BEGIN
    FOREACH v_table IN ARRAY ARRAY['ledger_leaf', 'ledger_node', 'ledger_checkpoint', 'notary_key'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON %I
                        FOR EACH ROW EXECUTE FUNCTION notary_is_append_only()', v_table || '_no_change', v_table);
        EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION notary_is_append_only()', v_table || '_no_truncate', v_table);
    END LOOP;
END
$$;

REVOKE ALL ON ledger_leaf, ledger_node, ledger_checkpoint, notary_key, notary_alarm FROM PUBLIC;
GRANT SELECT, INSERT ON ledger_leaf, ledger_node, ledger_checkpoint, notary_key, notary_alarm TO qm_notary;
GRANT UPDATE (detail, ended_at) ON notary_alarm TO qm_notary;
GRANT SELECT ON ledger_entry TO qm_notary;
GRANT EXECUTE ON FUNCTION ledger_append(text[], text[], text[], text[], bytea[]) TO qm_notary;
GRANT SELECT ON ledger_leaf, ledger_node, ledger_checkpoint, notary_key, notary_alarm TO qm_auditor, qm_console, qm_worker;
