-- Guards that look into tables look into ours, whatever a session puts in their place: a temporary table of the same
-- name is found first otherwise, and then a policy could be adopted that nobody approved.
ALTER FUNCTION policy_version_needs_a_change() SET search_path = public, pg_temp;
ALTER FUNCTION policy_change_is_decided_once() SET search_path = public, pg_temp;
ALTER FUNCTION demand_word_is_kept() SET search_path = public, pg_temp;
ALTER FUNCTION task_shows_its_decision() SET search_path = public, pg_temp;
