-- What a supplier asks of a whole order, beside what it asks of a line.
ALTER TABLE supplier ADD COLUMN minimum_order_value numeric(16, 4) NOT NULL DEFAULT 0;
