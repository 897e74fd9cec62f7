-- What a supplier asks of a whole order, beside what it asks of a line.
ALTER TABLE supplier ADD COLUMN minimum_order_value numeric(16, 4) NOT NULL DEFAULT 0;

-- How nervous the plan is: how often a waiting proposal was scored again, and how often its quantity came out different.
ALTER TABLE task ADD COLUMN rescores integer NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN rescores_changed integer NOT NULL DEFAULT 0;
