-- What decisions cost and save: what happened beside the static reorder point, by item, location and week.

-- When the decision's days were compared last; null: not yet.
ALTER TABLE outcome ADD COLUMN compared_at timestamptz;
CREATE INDEX outcome_uncompared ON outcome (measured_at) WHERE compared_at IS NULL;

-- A stretch is a half-year: its comparison is made anew whenever one of its decisions was measured. Days count once.
CREATE TABLE compared_week (
    location text NOT NULL,
    item text NOT NULL,
    stretch date NOT NULL,
    week date NOT NULL,
    decisions integer NOT NULL,
    days integer NOT NULL CHECK (days BETWEEN 0 AND 7),
    censored_days integer NOT NULL,
    wanted_units numeric NOT NULL,
    imputed_units numeric NOT NULL,
    holding numeric NOT NULL,
    shortage numeric NOT NULL,
    ordering numeric NOT NULL,
    static_holding numeric NOT NULL,
    static_shortage numeric NOT NULL,
    static_ordering numeric NOT NULL,
    PRIMARY KEY (location, item, stretch, week)
);
CREATE INDEX compared_week_by_week ON compared_week (week);
