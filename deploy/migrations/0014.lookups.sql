-- Lookups that must not grow with the books.

-- What stands blocked is listed for people, newest first.
CREATE INDEX replenishment_blocked ON replenishment (decided_at DESC, decision_id) WHERE state = 'blocked';
