-- The rhythm of the day, the hourly sweep, and what is watched for drift.

-- The newest hour of the business clock that was swept for needs. Days are swept apart (`swept_through`).
ALTER TABLE business_clock ADD COLUMN swept_hour timestamptz;

-- What moved at a location since an instant: the hourly sweep looks at these positions and at no other. Business time,
-- so that a replayed hour is swept as the hour was; mostly appended at its right edge.
CREATE INDEX movement_by_moment ON movement (location, occurred_at);

-- Sale events by hour of the UTC day (fading), and pairs of units of one item and day: see workflows/domain/rhythm.py.
CREATE TABLE day_rhythm (
    location text PRIMARY KEY,
    sales bigint[] NOT NULL CHECK (array_length(sales, 1) = 24),
    same_sale_pairs bigint NOT NULL,
    same_day_pairs bigint NOT NULL
);

-- One row per business day, segment and statistic: what was watched, with its threshold.
CREATE TABLE drift_report (
    day date NOT NULL,
    segment text NOT NULL,
    statistic text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('error', 'coverage', 'decision', 'input')),
    value numeric NOT NULL,
    threshold numeric NOT NULL,
    observations integer NOT NULL,
    alarm boolean NOT NULL,
    detail text NOT NULL,
    model_digest text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (day, segment, statistic)
);

-- The business days that were read, also those on which there was nothing to say.
CREATE TABLE drift_day (
    day date PRIMARY KEY,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- An alarm lasts from the first report that raises it to the first that does not. Its id is a function of what it is
-- about and of the day it began, and so is the id of the retraining that it starts: never two for one alarm.
CREATE TABLE drift_alarm (
    alarm_id text PRIMARY KEY,
    segment text NOT NULL,
    statistic text NOT NULL,
    kind text NOT NULL,
    started_on date NOT NULL,
    ended_on date,
    detail text NOT NULL,
    retraining_id text,
    retraining_on date
);
CREATE UNIQUE INDEX drift_alarm_one_open ON drift_alarm (segment, statistic) WHERE ended_on IS NULL;

-- Monitoring reads the newest outcomes; the outcome itself is content behind its decision.
CREATE INDEX outcome_by_measurement ON outcome (measured_at);
