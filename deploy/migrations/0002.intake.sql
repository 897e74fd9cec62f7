-- Events in, positions out: everything that intake writes in one transaction.

CREATE TABLE inbox (
    source text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    event_time timestamptz NOT NULL,
    payload bytea NOT NULL,
    payload_sha256 text NOT NULL,
    log_id text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    traceparent text,
    accepted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, event_id)
);
CREATE INDEX inbox_by_acceptance ON inbox USING brin (accepted_at);

-- The database's Kafka position is the truth; the broker's committed offset is only for lag monitoring.
-- owner_epoch is raised by whoever takes the partition over, so a consumer that slept cannot move the position.
CREATE TABLE kafka_position (
    log_id text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    owner_epoch bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (log_id, topic, partition)
);

CREATE TABLE dead_letter (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log_id text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    message_key text,
    payload bytea NOT NULL,
    payload_sha256 text NOT NULL,
    error_code text NOT NULL,
    error_detail text NOT NULL,
    traceparent text,
    first_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    redriven_at timestamptz,
    UNIQUE (log_id, topic, partition, kafka_offset)
);

CREATE TABLE movement (
    source text NOT NULL,
    event_id text NOT NULL,
    location text NOT NULL,
    item text NOT NULL,
    kind text NOT NULL,
    occurred_at timestamptz NOT NULL,
    on_hand_delta integer NOT NULL DEFAULT 0,
    reserved_delta integer NOT NULL DEFAULT 0,
    counted_units integer,
    demand_day date,
    demand_units integer NOT NULL DEFAULT 0,
    unit_price numeric(14, 4),
    promotion boolean NOT NULL DEFAULT false,
    order_id text,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, event_id)
);
CREATE INDEX movement_by_position ON movement (location, item, occurred_at);
CREATE INDEX movement_by_demand_day ON movement (location, item, demand_day) WHERE demand_day IS NOT NULL;
CREATE INDEX movement_by_order ON movement (order_id) WHERE order_id IS NOT NULL;

-- The fold. on hand = newest count + everything that moved after it; see workflows/domain/positions.py.
CREATE TABLE position (
    location text NOT NULL,
    item text NOT NULL,
    counted_units bigint NOT NULL DEFAULT 0,
    counted_at timestamptz NOT NULL DEFAULT '-infinity',
    counted_source text NOT NULL DEFAULT '',
    counted_event text NOT NULL DEFAULT '',
    moved_units bigint NOT NULL DEFAULT 0,
    on_hand_units bigint GENERATED ALWAYS AS (counted_units + moved_units) STORED,
    reserved_units bigint NOT NULL DEFAULT 0,
    on_order_units bigint NOT NULL DEFAULT 0,
    watch_level_units bigint,
    last_assessed_at timestamptz,
    data_through timestamptz NOT NULL DEFAULT '-infinity',
    need_number integer NOT NULL DEFAULT 0,
    -- After a rejection or an expiry the item rests: no new need before this instant of the business clock.
    quiet_until timestamptz,
    PRIMARY KEY (location, item)
);

CREATE TABLE daily_demand (
    location text NOT NULL,
    item text NOT NULL,
    day date NOT NULL,
    units bigint NOT NULL DEFAULT 0,
    promotion boolean NOT NULL DEFAULT false,
    PRIMARY KEY (location, item, day)
);

-- Days that closed without stock: their demand is missing, not zero. Kept apart with the instant it became known.
CREATE TABLE stockout_day (
    location text NOT NULL,
    item text NOT NULL,
    day date NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (location, item, day)
);

-- The business clock: the event-time watermark of a location.
CREATE TABLE business_clock (
    location text PRIMARY KEY,
    watermark timestamptz NOT NULL,
    swept_through date,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Instants that workflows wait for under a replayed clock; the relay ticks them when the watermark passes.
CREATE TABLE clock_wait (
    subject text NOT NULL CHECK (subject IN ('replenishment', 'order')),
    subject_id text NOT NULL,
    instant timestamptz NOT NULL,
    location text NOT NULL,
    ticked_at timestamptz,
    PRIMARY KEY (subject, subject_id, instant)
);
CREATE INDEX clock_wait_due ON clock_wait (location, instant) WHERE ticked_at IS NULL;

CREATE TABLE need_batch (
    batch_id text PRIMARY KEY,
    location text NOT NULL,
    clock timestamptz NOT NULL,
    needs integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz
);
CREATE INDEX need_batch_unstarted ON need_batch (created_at) WHERE finished_at IS NULL;

CREATE TABLE need (
    need_id text PRIMARY KEY,
    location text NOT NULL,
    item text NOT NULL,
    number integer NOT NULL,
    cause text NOT NULL,
    opened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    traceparent text,
    batch_id text REFERENCES need_batch,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'proposed', 'held', 'closed')),
    UNIQUE (location, item, number)
);
-- At most one open need per item and location: the promise's "exactly one".
CREATE UNIQUE INDEX need_one_open ON need (location, item) WHERE state IN ('open', 'proposed');
CREATE INDEX need_unbatched ON need (location) WHERE batch_id IS NULL;
CREATE INDEX need_by_batch ON need (batch_id);
