-- When a message was written to its log, as the log says: what is published of a dead letter says it, too. What was kept
-- before says nothing of it.

ALTER TABLE dead_letter ADD COLUMN kafka_timestamp_ms bigint;
COMMENT ON COLUMN dead_letter.kafka_timestamp_ms IS
    'Milliseconds since 1970 by the sender''s or the broker''s clock; null where neither told it.';
