-- What intake writes with every event, and nobody reads, goes: no table is rewritten, and an upgrade takes no longer for
-- a large one.

-- An event has one movement, because the event is unique: the inbox's key says so, in the transaction that writes both.
-- A second index of the same keys made every event a fifth dearer to keep.
ALTER TABLE movement DROP CONSTRAINT movement_pkey;
-- Whoever asks for demand asks for positions: movement_by_position has them, and the day is in the row.
DROP INDEX movement_by_demand_day;

-- Positions and the current day's demand change with every sale. Where their page has room for the next version, no
-- index has to learn of it. Holds for pages written from now on.
ALTER TABLE position SET (fillfactor = 60);
ALTER TABLE daily_demand SET (fillfactor = 85);
