-- The figures beside each position are read from the inputs as they are parsed: two passes over the text, where a
-- document made of all of it first took twice the time. What is written is what was written before.
CREATE OR REPLACE FUNCTION outlook_of_decisions() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp
-- As 0063 has it: only look-ups by key are any good here.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    INSERT INTO position_outlook AS o (location, item, decision_id, revision, kind, decided_at, risk, lost_value,
                                       protection_days, demand_p10, demand_p50, demand_p90)
    SELECT DISTINCT ON (n.location, n.item) n.location, n.item, n.decision_id, n.revision, n.kind, n.decided_at,
           s.stockout_risk, s.expected_lost_units * i.shortage_per_unit, s.protection_days, s.demand_p10, s.demand_p50,
           s.demand_p90
    FROM new_row n JOIN evidence e ON e.sha256 = n.inputs_sha256
    CROSS JOIN LATERAL json_to_record(convert_from(e.body, 'UTF8')::json) AS i (
        shortage_per_unit numeric, scores json
    )
    CROSS JOIN LATERAL json_to_record(i.scores) AS s (
        stockout_risk numeric, expected_lost_units numeric, protection_days integer, demand_p10 numeric,
        demand_p50 numeric, demand_p90 numeric
    )
    ORDER BY n.location, n.item, n.decided_at DESC, n.revision DESC
    ON CONFLICT (location, item) DO UPDATE SET
        decision_id = excluded.decision_id, revision = excluded.revision, kind = excluded.kind,
        decided_at = excluded.decided_at, risk = excluded.risk, lost_value = excluded.lost_value,
        protection_days = excluded.protection_days, demand_p10 = excluded.demand_p10,
        demand_p50 = excluded.demand_p50, demand_p90 = excluded.demand_p90
    WHERE o.decided_at IS NULL OR excluded.decided_at > o.decided_at
       OR (excluded.decided_at = o.decided_at
           AND (excluded.decision_id <> o.decision_id OR excluded.revision >= o.revision));
    RETURN NULL;
END
$$;
