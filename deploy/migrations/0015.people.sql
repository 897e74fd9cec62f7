-- Who may sign in and what they may do, and what they signed in with. Of a secret only its SHA-256 is here.

CREATE TABLE person (
    name text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 100),
    email text NOT NULL DEFAULT '',
    roles text[] NOT NULL DEFAULT '{}',
    -- NULL: everywhere.
    locations text[],
    -- NULL: any amount.
    approval_limit numeric CHECK (approval_limit >= 0),
    -- The identity provider's issuer#sub; NULL: known only here.
    subject text UNIQUE,
    disabled_at timestamptz,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Refused attempts are recorded, so many an hour for each person: see connectors/postgres/people.py.
    refusals_since timestamptz,
    refusals integer NOT NULL DEFAULT 0
);
-- Names that differ only in case are one person's: nobody gives two signatures as Ada and ada.
CREATE UNIQUE INDEX person_name_once ON person (lower(name));

CREATE TABLE console_session (
    sid_sha256 text PRIMARY KEY,
    person text NOT NULL REFERENCES person,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    idle_s integer NOT NULL,
    ends_at timestamptz NOT NULL
);
CREATE INDEX console_session_by_person ON console_session (person);
CREATE INDEX console_session_by_end ON console_session (ends_at);

CREATE TABLE api_token (
    token_id text PRIMARY KEY,
    token_sha256 text NOT NULL UNIQUE,
    person text NOT NULL REFERENCES person,
    label text NOT NULL,
    made_by text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at timestamptz,
    ends_at timestamptz NOT NULL
);
CREATE INDEX api_token_by_person ON api_token (person, made_at);

-- Sign-in links and the answers of an identity provider open one session each.
CREATE TABLE spent_ticket (
    ticket_sha256 text PRIMARY KEY,
    ends_at timestamptz NOT NULL
);
CREATE INDEX spent_ticket_by_end ON spent_ticket (ends_at);
