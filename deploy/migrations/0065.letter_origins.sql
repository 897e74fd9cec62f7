-- What a dead letter says of itself when it is published: told where it is stored, by whoever found it unreadable.

ALTER TABLE dead_letter ADD COLUMN attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0);
ALTER TABLE dead_letter ADD COLUMN schema_id text;
ALTER TABLE dead_letter ADD COLUMN consumer_version text;
COMMENT ON COLUMN dead_letter.attempt IS 'The how-manieth dead letter with these very bytes this is.';
COMMENT ON COLUMN dead_letter.schema_id IS 'The event type that it claimed to be; null where none was readable.';
COMMENT ON COLUMN dead_letter.consumer_version IS 'Release and source of the intake that could not read it.';

UPDATE dead_letter SET attempt = counted.attempt FROM (
    SELECT dead_letter_id, row_number() OVER (PARTITION BY payload_sha256 ORDER BY dead_letter_id) AS attempt
    FROM dead_letter
) counted WHERE counted.dead_letter_id = dead_letter.dead_letter_id AND counted.attempt > 1;
CREATE INDEX dead_letter_attempts ON dead_letter (payload_sha256, attempt DESC);
