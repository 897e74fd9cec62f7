-- Sweeps of a million positions: what is read and written once for each of them.

-- Needs are gathered into batches one location at a time, in the order of their ids. By the old index (location alone)
-- that order had to be made anew for every batch, from all that waited.
CREATE INDEX need_waits_for_batch ON need (location, need_id) WHERE batch_id IS NULL AND state = 'open';
DROP INDEX need_unbatched;

-- Inputs are a few thousand bytes of JSON: LZ4 packs them many times faster than what servers take by themselves.
-- What is stored already stays as it is and is read as before. A server that was built without it keeps its own.
DO $$
BEGIN
    ALTER TABLE evidence ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE 'this server has no LZ4: evidence is packed as before';
END
$$;

-- A batch of decisions fires its trigger once for all. The plan of its query is kept for as long as the session lives, so
-- one made while there was little evidence would read all of it for every batch to come. Only look-ups by key are any
-- good here, whatever the size was when the plan was made.
ALTER FUNCTION outlook_of_decisions() SET enable_seqscan = off;
ALTER FUNCTION outlook_of_decisions() SET enable_hashjoin = off;
ALTER FUNCTION outlook_of_decisions() SET enable_mergejoin = off;
