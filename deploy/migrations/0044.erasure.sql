-- People are known by a random reference (`p-` and 12 hexadecimal digits). What they are called, their address, their
-- identity at the provider and the words that they write are sealed with a data key of each person's own; that key is
-- wrapped by a key in a file that no database has. To erase somebody is to delete the row with their key.

ALTER TABLE person ADD COLUMN erased_at timestamptz;

-- One row: which key file seals here. It opens nothing.
CREATE TABLE personal_key (
    key_id text PRIMARY KEY,
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE person_sealed (
    -- The person's reference, or the plain name of somebody who was added by a release before this one.
    person text PRIMARY KEY,
    wrapped_key bytea NOT NULL,
    -- Name, e-mail and subject; NULL where only words of theirs are kept.
    sealed bytea,
    -- Keyed hashes by which somebody is found; whoever has no key file can try no names against them.
    name_key text UNIQUE,
    subject_key text UNIQUE,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What people wrote: the ledger has HMAC-SHA256(salt, words), and both leave with the author's key.
CREATE TABLE person_words (
    -- Where they belong: `approval:ID`, `comment:ID`.
    words_id text PRIMARY KEY,
    author text NOT NULL REFERENCES person_sealed ON DELETE CASCADE,
    salt bytea NOT NULL,
    sealed bytea NOT NULL
);
CREATE INDEX person_words_by_author ON person_words (author);

-- What is deleted here should not linger in the table's files until it has grown by a fifth.
ALTER TABLE person_sealed SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);
ALTER TABLE person_words SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);

-- Erases and records it, in the caller's transaction: nobody can have the one without the other. That its author manages
-- people and is somebody else is asked here too, whoever calls. False: nothing was left to erase.
CREATE FUNCTION erase_person(p_person text, p_by text, p_occurred text, p_body bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM person WHERE name = p_person AND erased_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_person = p_by THEN
        RAISE EXCEPTION 'nobody erases themselves: somebody else with the role admin does';
    END IF;
    PERFORM FROM person WHERE name = p_by AND disabled_at IS NULL AND 'admin' = ANY (roles);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'only somebody with the role admin erases a person';
    END IF;
    DELETE FROM person_sealed WHERE person = p_person;
    DELETE FROM console_session WHERE person = p_person;
    DELETE FROM api_token WHERE person = p_person;
    DELETE FROM saved_view WHERE owner = p_person;
    DELETE FROM notice WHERE person = p_person;
    DELETE FROM notice_told WHERE person = p_person;
    DELETE FROM notice_preference WHERE person = p_person;
    DELETE FROM substitute WHERE p_person IN (person, substitute);
    -- Words of before this release that nobody sealed yet.
    UPDATE approval SET comment = '*', command_digest = '' WHERE actor = p_person AND comment NOT IN ('', '*');
    UPDATE task_comment SET text = '*' WHERE author = p_person AND text NOT IN ('', '*');
    UPDATE person SET email = '', subject = NULL, roles = '{}', locations = '{}', approval_limit = 0,
        disabled_at = coalesce(disabled_at, clock_timestamp()), erased_at = clock_timestamp(),
        changed_at = clock_timestamp()
    WHERE name = p_person;
    PERFORM ledger_append(
        ARRAY['person:' || p_person], ARRAY['person.erased'], ARRAY[p_by], ARRAY[p_occurred], ARRAY[p_body]);
    RETURN true;
END
$$;

-- For a key file that is lost for good: what nobody can read is thrown away, and whoever was known by it may do nothing any
-- more, because nobody knows who they are. With nobody left who manages people, the first one is added on the machine.
CREATE FUNCTION give_up_personal_key(p_key_id text, p_by text, p_occurred text, p_body bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM personal_key WHERE key_id = p_key_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another key seals here by now';
    END IF;
    UPDATE person SET roles = '{}', locations = '{}', approval_limit = 0, changed_at = clock_timestamp(),
        disabled_at = coalesce(disabled_at, clock_timestamp()), erased_at = coalesce(erased_at, clock_timestamp())
    WHERE name ~ '^p-[0-9a-f]{12}$';
    DELETE FROM console_session WHERE person ~ '^p-[0-9a-f]{12}$';
    DELETE FROM api_token WHERE person ~ '^p-[0-9a-f]{12}$';
    DELETE FROM person_sealed;
    PERFORM ledger_append(
        ARRAY['people'], ARRAY['person.erased'], ARRAY[p_by], ARRAY[p_occurred], ARRAY[p_body]);
END
$$;

REVOKE ALL ON personal_key, person_sealed, person_words FROM PUBLIC;
REVOKE ALL ON FUNCTION erase_person(text, text, text, bytea), give_up_personal_key(text, text, text, bytea) FROM PUBLIC;
-- The console shows and takes people; the command line does the same as qm_retention.
GRANT SELECT, INSERT, UPDATE ON person_sealed TO qm_console, qm_retention;
GRANT SELECT, INSERT ON personal_key, person_words TO qm_console, qm_retention;
-- Notices are sent by intake: it looks addresses up.
GRANT SELECT ON personal_key, person_sealed TO qm_intake;
GRANT EXECUTE ON FUNCTION erase_person(text, text, text, bytea) TO qm_retention, qm_console;
GRANT EXECUTE ON FUNCTION give_up_personal_key(text, text, text, bytea) TO qm_retention, qm_operator;
