-- What orders in flight are judged by: the supplier's first word about the day, and which receipts were one delivery.

ALTER TABLE purchase_order ADD COLUMN first_promised_at timestamptz;
-- Of the orders before, only those that were never called late still have their first word.
UPDATE purchase_order SET first_promised_at = promised_at WHERE NOT delayed;
CREATE INDEX purchase_order_by_supplier ON purchase_order (supplier, ordered_at DESC);

-- Null for deliveries that were recorded before the engine ran: those of one lane and one day are taken for one order.
ALTER TABLE observed_lead_time ADD COLUMN order_id text;
UPDATE observed_lead_time t SET order_id = m.order_id FROM movement m
WHERE m.kind = 'receipt' AND m.order_id IS NOT NULL AND t.reference = m.source || '/' || m.event_id;
CREATE INDEX observed_lead_time_by_order_day ON observed_lead_time (supplier, location, ordered_on DESC);
CREATE INDEX observed_lead_time_by_receipt ON observed_lead_time (received_on DESC);
CREATE INDEX observed_lead_time_by_order ON observed_lead_time (order_id) WHERE order_id IS NOT NULL;
