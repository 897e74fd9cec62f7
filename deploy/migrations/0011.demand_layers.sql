-- What counts as demand, the layers around it, and what drives it from outside.

-- Why stock was adjusted: the definition of demand may count write-offs or transfers, by their reason.
ALTER TABLE movement ADD COLUMN reason text;
CREATE INDEX movement_by_reason ON movement (location, item, occurred_at) WHERE reason IS NOT NULL;

-- The price of a day is what was paid on it: revenue / priced units.
ALTER TABLE daily_demand ADD COLUMN priced_units bigint NOT NULL DEFAULT 0;
ALTER TABLE daily_demand ADD COLUMN revenue numeric NOT NULL DEFAULT 0;
ALTER TABLE recorded_demand ADD COLUMN unit_price numeric(14, 4);

-- Whose public holidays a location keeps: ISO 3166-1 alpha-2, and the subdivision's code.
ALTER TABLE location ADD COLUMN country text;
ALTER TABLE location ADD COLUMN subdivision text;

CREATE TABLE demand_definition (
    digest text PRIMARY KEY,
    version integer NOT NULL UNIQUE,
    document bytea NOT NULL,
    author text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What people (and the engine, about phantom stock) say about single days. Rows are never changed: a withdrawal is a
-- row of its own, so that a training set as known at an instant can be made again.
CREATE TABLE demand_adjustment (
    adjustment_id text PRIMARY KEY,
    location text NOT NULL,
    item text NOT NULL,
    first_day date NOT NULL,
    last_day date NOT NULL CHECK (last_day >= first_day),
    layer text NOT NULL CHECK (layer IN ('outlier', 'censored', 'phantom_stock', 'promotion', 'adjustment')),
    units bigint CHECK (units >= 0),
    reason text NOT NULL CHECK (reason <> ''),
    author text NOT NULL CHECK (author <> ''),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX demand_adjustment_by_position ON demand_adjustment (location, item);
CREATE TABLE demand_withdrawal (
    adjustment_id text PRIMARY KEY REFERENCES demand_adjustment,
    reason text NOT NULL CHECK (reason <> ''),
    author text NOT NULL CHECK (author <> ''),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION demand_word_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was said about demand is kept: % is refused; withdraw it, or say something newer', TG_OP;
END $$;
CREATE TRIGGER demand_adjustment_kept BEFORE UPDATE OR DELETE ON demand_adjustment
    FOR EACH ROW EXECUTE FUNCTION demand_word_is_kept();
CREATE TRIGGER demand_withdrawal_kept BEFORE UPDATE OR DELETE ON demand_withdrawal
    FOR EACH ROW EXECUTE FUNCTION demand_word_is_kept();
CREATE TRIGGER demand_definition_kept BEFORE UPDATE OR DELETE ON demand_definition
    FOR EACH ROW EXECUTE FUNCTION demand_word_is_kept();

-- Of a day that an item was not in stock throughout: the share of the location's usual sales hours that it was, worked
-- out when the day closed, by the rhythm of the day as it was known then.
CREATE TABLE day_exposure (
    location text NOT NULL,
    item text NOT NULL,
    day date NOT NULL,
    exposure_permille integer NOT NULL CHECK (exposure_permille BETWEEN 0 AND 1000),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (location, item, day)
);

-- A shelf that should be counted: the books say stock, and its silence has a probability below one in a thousand.
CREATE TABLE shelf_finding (
    finding_id text PRIMARY KEY,
    location text NOT NULL,
    item text NOT NULL,
    silent_since date NOT NULL,
    found_on date NOT NULL,
    silent_days integer NOT NULL,
    usual_units numeric NOT NULL,
    silence_ppm integer NOT NULL,
    on_hand_units bigint NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'confirmed', 'refuted', 'sold')),
    settled_at timestamptz,
    counted_units bigint,
    adjustment_id text REFERENCES demand_adjustment,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX shelf_finding_one_open ON shelf_finding (location, item) WHERE state = 'open';

-- Numbers from outside, by location ('*': all of them) and day: weather as it was forecast, footfall, a price index.
-- A newer word about a day is a newer row: what was known at an instant is the newest row known by then.
CREATE TABLE external_driver (
    location text NOT NULL,
    name text NOT NULL,
    day date NOT NULL,
    known_at timestamptz NOT NULL,
    value numeric NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (location, name, day, known_at)
);
