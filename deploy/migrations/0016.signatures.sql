-- Two signatures where the policy wants two, and answers that their author takes back before anything came of them.

ALTER TABLE approval
    -- False: a first signature. It waits for a second one and answers nothing by itself.
    ADD COLUMN complete boolean NOT NULL DEFAULT true,
    -- How many people had to sign by the policy of that moment; NULL: stored before people were kept, when names were
    -- not looked up.
    ADD COLUMN signatures_needed smallint CHECK (signatures_needed IN (1, 2)),
    -- Nothing comes of the answer before this instant, so long may its author take it back; NULL: there was no such time.
    ADD COLUMN undo_until timestamptz,
    ADD COLUMN void_reason text NOT NULL DEFAULT '',
    -- The command that took it back: the same command again gives the same answer.
    ADD COLUMN withdrawn_command text;

DROP INDEX approval_first_counts;
-- The first valid verdict counts, whoever is second; and beside it stands one first signature at most.
CREATE UNIQUE INDEX approval_first_counts ON approval (decision_id) WHERE voided_at IS NULL AND complete;
CREATE UNIQUE INDEX approval_one_first_signature ON approval (decision_id) WHERE voided_at IS NULL AND NOT complete;
CREATE UNIQUE INDEX approval_withdrawn_command ON approval (withdrawn_command) WHERE withdrawn_command IS NOT NULL;
-- All that was ever said of a decision, void or not.
CREATE INDEX approval_by_decision ON approval (decision_id, recorded_at);
DROP INDEX approval_unheard;
CREATE INDEX approval_unheard ON approval (recorded_at) WHERE heard_at IS NULL AND voided_at IS NULL AND complete;

-- What the inbox shows of signatures.
ALTER TABLE task
    ADD COLUMN signatures_needed smallint NOT NULL DEFAULT 1,
    ADD COLUMN first_signature_by text;

-- How many different people, none of them disabled by now, stand behind the order of this proposal's current revision
-- with the units that were approved. 0 where no complete approval stands.
CREATE FUNCTION standing_signatures(p_decision_id text) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT count(DISTINCT lower(btrim(s.actor)))::integer
    FROM replenishment r
    JOIN approval a ON a.decision_id = r.decision_id AND a.proposal_hash = r.proposal_hash AND a.complete
        AND a.voided_at IS NULL AND a.meaning IN ('approve', 'approve_edited')
    JOIN approval s ON s.decision_id = a.decision_id AND s.proposal_hash = a.proposal_hash
        AND s.voided_at IS NULL AND s.meaning IN ('approve', 'approve_edited')
        AND coalesce(s.units, r.units) = coalesce(a.units, r.units)
    LEFT JOIN person p ON p.name = s.actor
    WHERE r.decision_id = p_decision_id AND p.disabled_at IS NULL
      AND (p.name IS NOT NULL OR s.signatures_needed IS NULL)
$$;

-- The send gate, as in 0004, and beyond it: as many people must stand behind an approval as had to when it was given.
CREATE OR REPLACE FUNCTION line_refusal(p_need_id text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN (o.supplier, o.location) <> (r.supplier, r.location) THEN 'the order is not one for this proposal'
        WHEN (l.item, l.location, l.unit_cost) <> (r.item, r.location, r.unit_cost)
            THEN 'the line is not what was proposed'
        WHEN l.proposal_hash <> r.proposal_hash THEN 'the proposal changed after the line was released'
        WHEN r.state <> 'released' THEN 'the proposal is ' || r.state
        WHEN s.blocked THEN 'the supplier is blocked'
        WHEN r.tier = 'auto' AND l.units = r.units THEN NULL
        WHEN r.tier = 'auto' THEN 'the units are not those of the proposal'
        WHEN r.tier = 'blocked' THEN 'the proposal is blocked'
        WHEN a.approval_id IS NULL THEN 'no standing approval for this proposal'
        WHEN l.units <> CASE a.meaning WHEN 'approve' THEN r.units ELSE coalesce(a.units, -1) END
            THEN 'the units are not those that were approved'
        WHEN standing_signatures(l.need_id) < coalesce(a.signatures_needed, 1)
            THEN 'too few people who may still approve stand behind it: ' || standing_signatures(l.need_id)
                 || ' of ' || coalesce(a.signatures_needed, 1)
    END
    FROM order_line l
    JOIN purchase_order o ON o.order_id = l.order_id
    JOIN replenishment r ON r.decision_id = l.need_id
    LEFT JOIN supplier s ON s.supplier = r.supplier
    LEFT JOIN approval a ON a.decision_id = l.need_id AND a.proposal_hash = l.proposal_hash AND a.complete
        AND a.voided_at IS NULL AND a.meaning IN ('approve', 'approve_edited')
    WHERE l.need_id = p_need_id
$$;
