-- The slow facts: catalog, policies, and the recorded past that a new installation brings along.

CREATE TABLE setting (
    key text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE item (
    item text PRIMARY KEY,
    name text NOT NULL,
    category text NOT NULL,
    price numeric(16, 4) NOT NULL,
    goodwill_per_unit numeric(16, 4) NOT NULL DEFAULT 0
);

CREATE TABLE location (
    location text PRIMARY KEY,
    name text NOT NULL,
    time_zone text NOT NULL DEFAULT 'UTC'
);

CREATE TABLE supplier (
    supplier text PRIMARY KEY,
    name text NOT NULL,
    blocked boolean NOT NULL DEFAULT false,
    -- What the catalog document said last, and when an event last said otherwise or the same.
    blocked_in_catalog boolean NOT NULL DEFAULT false,
    cost_per_order numeric(16, 4) NOT NULL DEFAULT 0,
    blocked_at timestamptz
);

CREATE TABLE sourcing (
    item text NOT NULL REFERENCES item,
    location text NOT NULL REFERENCES location,
    supplier text NOT NULL REFERENCES supplier,
    rank integer NOT NULL DEFAULT 1,
    unit_cost numeric(16, 4) NOT NULL,
    pack_units integer NOT NULL DEFAULT 1 CHECK (pack_units >= 1),
    minimum_order_units integer NOT NULL DEFAULT 0,
    lead_time_days integer NOT NULL,
    review_days integer NOT NULL DEFAULT 1 CHECK (review_days >= 1),
    -- When the supplier last spoke of each condition: an older word never overrules a newer one, whatever came first.
    lead_time_at timestamptz,
    unit_cost_at timestamptz,
    minimum_order_at timestamptz,
    PRIMARY KEY (location, item, supplier)
);
CREATE INDEX sourcing_by_supplier ON sourcing (supplier, item);

CREATE TABLE policy_version (
    digest text PRIMARY KEY,
    version integer NOT NULL UNIQUE,
    document bytea NOT NULL,
    adopted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Demand before the engine ran. recorded_at is when it became known here: training sets are cut on it.
CREATE TABLE recorded_demand (
    location text NOT NULL,
    item text NOT NULL,
    day date NOT NULL,
    units integer NOT NULL,
    in_stock boolean NOT NULL DEFAULT true,
    promotion boolean NOT NULL DEFAULT false,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (location, item, day)
);

CREATE TABLE observed_lead_time (
    reference text PRIMARY KEY,
    supplier text NOT NULL,
    location text NOT NULL,
    item text NOT NULL,
    ordered_on date NOT NULL,
    received_on date NOT NULL,
    units integer NOT NULL
);
CREATE INDEX observed_lead_time_by_lane ON observed_lead_time (supplier, location, received_on DESC, ordered_on DESC);
