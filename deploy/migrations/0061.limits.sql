-- What may leave now: circuits and paces of suppliers, value caps, and the comparison with the suppliers' own books.

-- What is remembered of each supplier by all workers: the circuit breaker (workflows/domain/breaker.py) and the token
-- bucket (workflows/domain/pacing.py). Nothing here is part of the record: losing it costs a few requests.
CREATE TABLE supplier_circuit (
    supplier text PRIMARY KEY,
    phase text NOT NULL DEFAULT 'closed' CHECK (phase IN ('closed', 'open', 'half_open')),
    in_a_row integer NOT NULL DEFAULT 0,
    window_began_at timestamptz,
    window_requests integer NOT NULL DEFAULT 0,
    window_unanswered integer NOT NULL DEFAULT 0,
    opened_at timestamptz,
    openings integer NOT NULL DEFAULT 0,
    wait_until timestamptz,
    full_at timestamptz,
    paused_until timestamptz,
    -- What the newest request that was not answered came to, and when.
    last_trouble text NOT NULL DEFAULT '',
    last_trouble_at timestamptz,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX supplier_circuit_unwell ON supplier_circuit (supplier) WHERE phase <> 'closed';
GRANT SELECT ON supplier_circuit TO qm_intake, qm_worker, qm_console;
GRANT INSERT, UPDATE ON supplier_circuit TO qm_worker;

-- What each order was worth when it was last let go: what the value caps count (workflows/domain/caps.py).
CREATE TABLE sent_value (
    order_id text PRIMARY KEY REFERENCES purchase_order,
    supplier text NOT NULL,
    currency text NOT NULL,
    value numeric(20, 4) NOT NULL,
    sent_at timestamptz NOT NULL
);
CREATE INDEX sent_value_by_instant ON sent_value (sent_at) INCLUDE (currency, supplier, value, order_id);
GRANT SELECT ON sent_value TO qm_worker, qm_console;
GRANT INSERT, UPDATE ON sent_value TO qm_worker;
-- What left lately counts from the first hour on that a cap is set.
INSERT INTO sent_value (order_id, supplier, currency, value, sent_at)
SELECT o.order_id, o.supplier, o.currency, sum(l.units * l.unit_cost), o.last_sent_at
FROM purchase_order o JOIN order_line l USING (order_id)
WHERE o.last_sent_at > clock_timestamp() - interval '24 hours' AND l.refused_reason IS NULL
GROUP BY o.order_id;

-- An order can be held by itself: by a person, or by the engine where it would exceed a cap. Lifting that switch is how
-- a person lets it go.
ALTER TABLE send_stop DROP CONSTRAINT send_stop_scope_check;
ALTER TABLE send_stop ADD CONSTRAINT send_stop_scope_check
    CHECK (scope IN ('everything', 'location', 'supplier', 'model', 'order'));
ALTER TABLE send_stop
    -- The cap that the order would have exceeded; null: a person set the switch.
    ADD COLUMN over_cap text CHECK (over_cap IS NULL OR scope = 'order'),
    -- A pause ends by itself.
    ADD COLUMN ends_at timestamptz;
-- The worker holds and never lifts: those columns are not its own.
GRANT INSERT (stop_id, scope, subject, reason, stopped_by, stopped_via, over_cap) ON send_stop TO qm_worker;

CREATE OR REPLACE FUNCTION stop_of_order(p_order_id text) RETURNS SETOF send_stop LANGUAGE sql STABLE AS $$
    SELECT s.* FROM send_stop s JOIN purchase_order o ON o.order_id = p_order_id
    WHERE s.lifted_at IS NULL AND (s.ends_at IS NULL OR s.ends_at > clock_timestamp()) AND (
        s.scope = 'everything'
        OR (s.scope = 'location' AND s.subject = o.location)
        OR (s.scope = 'supplier' AND s.subject = o.supplier)
        OR (s.scope = 'order' AND s.subject = o.order_id)
        OR (s.scope = 'model' AND EXISTS (
            SELECT 1 FROM order_line l JOIN replenishment r ON r.decision_id = l.need_id
            JOIN decision d ON d.decision_id = r.decision_id AND d.revision = r.revision
            WHERE l.order_id = o.order_id AND l.refused_reason IS NULL AND d.model_digest = s.subject)))
    ORDER BY s.stopped_at, s.stop_id LIMIT 1
$$;

-- Our orders against the suppliers' own lists: a report a day and supplier, and each difference in it.
CREATE TABLE reconciliation_report (
    report_id text PRIMARY KEY,
    supplier text NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Orders with a cutoff from this instant of the business clock on.
    since timestamptz NOT NULL,
    -- How far the supplier's list was read, in the supplier's own words; null: from the beginning.
    read_to text,
    read_whole boolean NOT NULL DEFAULT false,
    pages integer NOT NULL DEFAULT 0,
    finished_at timestamptz,
    -- Why the supplier's list could not be read; then nothing was compared.
    not_listed text,
    ours bigint NOT NULL DEFAULT 0,
    theirs bigint NOT NULL DEFAULT 0,
    agreed bigint NOT NULL DEFAULT 0,
    found bigint NOT NULL DEFAULT 0,
    digest text
);
-- One at a time for each supplier: whoever comes second goes on with the first one's.
CREATE UNIQUE INDEX reconciliation_report_under_way ON reconciliation_report (supplier) WHERE finished_at IS NULL;
CREATE INDEX reconciliation_report_newest ON reconciliation_report (supplier, begun_at DESC);

-- The supplier's list while it is compared: the list may be longer than memory. Emptied when the report is finished.
CREATE TABLE reconciliation_listed (
    report_id text NOT NULL REFERENCES reconciliation_report,
    number bigint NOT NULL,
    key text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (report_id, number)
);
CREATE INDEX reconciliation_listed_by_key ON reconciliation_listed (report_id, key COLLATE "C", number);

CREATE TABLE reconciliation_difference (
    report_id text NOT NULL REFERENCES reconciliation_report,
    number bigint NOT NULL,
    -- The same difference has the same id in every report.
    difference_id text NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    order_id text,
    supplier_number text NOT NULL DEFAULT '',
    says text NOT NULL,
    -- Why it is no fault, where the engine knows; null: a person has to say.
    explained text,
    PRIMARY KEY (report_id, number)
);
CREATE INDEX reconciliation_difference_by_id ON reconciliation_difference (difference_id);

CREATE TABLE difference_explanation (
    difference_id text PRIMARY KEY,
    supplier text NOT NULL,
    explanation text NOT NULL,
    explained_by text NOT NULL,
    explained_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT ON
    reconciliation_report, reconciliation_listed, reconciliation_difference, difference_explanation
TO qm_worker, qm_console;
GRANT INSERT, UPDATE ON reconciliation_report TO qm_worker;
GRANT INSERT, DELETE ON reconciliation_listed TO qm_worker;
GRANT INSERT ON reconciliation_difference TO qm_worker;
GRANT INSERT ON difference_explanation TO qm_console;
-- Our orders in the order of the comparison.
CREATE INDEX purchase_order_by_key ON purchase_order (supplier, key COLLATE "C");

CREATE OR REPLACE FUNCTION ledger_types(p_user name) RETURNS text[]
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
            'history.exported', 'workflow.overridden', 'reconciliation.reported', 'setting.changed']),
        ('qm_console', ARRAY['catalog.changed', 'policy.adopted', 'policy.proposed', 'policy.approved',
            'policy.rejected', 'policy.refused', 'decision.closed', 'decision.replayed', 'decision.counterfactual',
            'task.reminded', 'task.escalated', 'task.claimed', 'task.released_claim', 'task.snoozed', 'task.woken',
            'task.commented', 'task.forwarded', 'task.rescore_asked', 'task.wish_dropped', 'substitute.named',
            'verdict.recorded', 'verdict.refused', 'verdict.signed', 'verdict.withdrawn', 'approval.voided',
            'order.held', 'order.awaits_operator', 'order.retried', 'order.attended', 'order.answered', 'difference.explained',
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
