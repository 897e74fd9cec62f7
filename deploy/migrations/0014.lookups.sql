-- Lookups that must not grow with the books.

-- What stands blocked is listed for people, newest first.
CREATE INDEX replenishment_blocked ON replenishment (decided_at DESC, decision_id) WHERE state = 'blocked';

-- Each assessed need asks whether its suppliers refused an order lately; few orders are refused.
CREATE INDEX purchase_order_refused ON purchase_order (supplier, ordered_at DESC) WHERE state = 'refused';

-- Each batch asks what collects already; few orders collect at one time.
CREATE INDEX purchase_order_collecting ON purchase_order (supplier, location) WHERE state = 'collecting';

-- Each batch asks by lane what was promised and which deliveries came short: by the day of ordering, not through all
-- orders of the supplier.
CREATE INDEX sourcing_by_lane ON sourcing (supplier, location, lead_time_days);
CREATE INDEX purchase_order_by_lane ON purchase_order (supplier, location, ordered_at);

-- The page of orders shows the newest ones.
CREATE INDEX purchase_order_by_cutoff ON purchase_order (cutoff_at DESC, order_id);
