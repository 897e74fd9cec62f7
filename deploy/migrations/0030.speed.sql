-- Looks that grew with the number of waiting proposals and of orders under way: the relay's for lost workflows.
CREATE INDEX replenishment_seen ON replenishment (workflow_started_at) WHERE state = 'proposed';
CREATE INDEX purchase_order_seen ON purchase_order (workflow_started_at)
    WHERE state IN ('collecting', 'sending', 'in_doubt', 'placed');
