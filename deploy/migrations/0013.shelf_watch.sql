-- The newest business day of each location whose shelves were looked at: each day is looked at once.
CREATE TABLE shelf_watch (
    location text PRIMARY KEY,
    watched_through date NOT NULL
);
