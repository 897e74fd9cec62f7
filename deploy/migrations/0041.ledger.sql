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
