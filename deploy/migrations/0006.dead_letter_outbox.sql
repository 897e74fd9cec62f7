-- Dead letters leave for their topic through an outbox: the row is committed with the Kafka position, publishing may
-- be repeated, so a crash between the two loses nothing.
ALTER TABLE dead_letter ADD COLUMN published_at timestamptz;
CREATE INDEX dead_letter_unpublished ON dead_letter (dead_letter_id) WHERE published_at IS NULL;
