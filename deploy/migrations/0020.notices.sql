-- Notices: what a person is told by mail or webhook, decided before it is sent, and sent at least once.

CREATE TABLE notice_preference (
    person text PRIMARY KEY,
    mode text NOT NULL CHECK (mode IN ('none', 'digest', 'at_once')),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What somebody was told of already; what left the person's list is forgotten, and is news when it comes back.
CREATE TABLE notice_told (
    person text NOT NULL,
    family text NOT NULL,
    subject text NOT NULL,
    told_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (person, family, subject)
);

-- The intent comes first; its id is the key under which mail and webhook servers recognise a repetition.
CREATE TABLE notice (
    notice_id text PRIMARY KEY,
    key text NOT NULL,
    channel text NOT NULL CHECK (channel IN ('mail', 'webhook')),
    person text NOT NULL,
    address text NOT NULL,
    message bytea NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'given_up')),
    created_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    lease_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    sent_at timestamptz,
    problem text NOT NULL DEFAULT '',
    UNIQUE (key, channel)
);
CREATE INDEX notice_waiting ON notice (next_at) WHERE state = 'waiting';
CREATE INDEX notice_by_age ON notice (created_at) WHERE state <> 'waiting';
