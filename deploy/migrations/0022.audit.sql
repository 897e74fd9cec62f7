-- The ways by which auditors find entries: by time, by person, by rare kind, by item, model and the supplier's number.

CREATE INDEX ledger_by_time ON ledger_entry (recorded_at DESC, stream DESC, seq DESC);
-- The engine's own entries are nearly all of them, and nobody looks for them by their author.
CREATE INDEX ledger_by_person ON ledger_entry (actor, recorded_at DESC)
    WHERE actor <> ALL (ARRAY['engine', 'intake', 'clock', 'send gate']);
CREATE INDEX ledger_by_rare_type ON ledger_entry (type, recorded_at DESC)
    WHERE type <> ALL (ARRAY['events.accepted', 'holds.recorded', 'decision.proposed', 'decision.released',
                             'decision.closed', 'task.opened', 'outcome.measured', 'order.prepared', 'order.sent',
                             'order.answered', 'order.closed']);
CREATE INDEX decision_by_item ON decision (item, decided_at DESC);
CREATE INDEX decision_by_model ON decision (model_digest, decided_at DESC);
CREATE INDEX purchase_order_by_number ON purchase_order (supplier_number) WHERE supplier_number IS NOT NULL;
