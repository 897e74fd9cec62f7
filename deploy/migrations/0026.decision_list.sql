-- Decisions are looked through newest first; with a million of them that needs an order to read them in.
CREATE INDEX decision_newest ON decision (decided_at DESC, decision_id DESC);
