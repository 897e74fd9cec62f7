-- What grew with the number of waiting proposals and of orders under way: the relay's look for lost workflows.
CREATE INDEX replenishment_seen ON replenishment (workflow_started_at) WHERE state = 'proposed';
CREATE INDEX purchase_order_seen ON purchase_order (workflow_started_at)
    WHERE state IN ('collecting', 'sending', 'in_doubt', 'placed');
-- Tasks in whatever state, page by page: without it each page put all of them in order.
CREATE INDEX task_by_cost ON task ((-cost_of_waiting), expire_at, decision_id COLLATE "C");
