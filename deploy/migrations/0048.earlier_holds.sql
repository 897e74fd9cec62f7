-- Releases before there was evidence beside the inputs kept the bytes of holds in the table of decisions alone, and of a
-- batch of them only the Merkle root. Both are kept as evidence now: a decision is proved by its hash, a list by the
-- root that the ledger has had all along, so nothing here has to be believed.

INSERT INTO evidence_part (sha256, kind, codec, size, body)
SELECT d.proposal_hash, 'decision', 'raw', length(d.body), d.body FROM decision d
WHERE (d.kind = 'hold' OR d.revision > 1) AND d.proposal_hash = encode(sha256(d.body), 'hex')
ON CONFLICT DO NOTHING;

-- In the order of the leaves. Codes are ASCII without quotes, so this is canonical JSON.
INSERT INTO evidence_part (sha256, kind, codec, size, body)
SELECT encode(sha256(listed.body), 'hex'), 'earlier_items', 'raw', length(listed.body), listed.body
FROM (
    SELECT convert_to('[' || string_agg(
               '["' || d.decision_id || '",1,"' || d.proposal_hash || '"]', ',' ORDER BY d.decision_id COLLATE "C"
           ) || ']', 'UTF8') AS body
    FROM decision d JOIN need n ON n.need_id = d.decision_id
    WHERE d.kind = 'hold' AND d.revision = 1 AND EXISTS (
        SELECT 1 FROM ledger_entry l
        WHERE l.stream = 'batch:' || n.batch_id AND l.type = 'holds.recorded'
          AND NOT convert_from(l.body, 'UTF8')::jsonb ? 'items'
    )
    GROUP BY n.batch_id
) AS listed
ON CONFLICT DO NOTHING;

CREATE INDEX IF NOT EXISTS evidence_part_earlier_items ON evidence_part (sha256) WHERE kind = 'earlier_items';
