-- Decisions, their evidence, the people's answers and what came of them.

-- Content-addressed bytes that decisions rest on (canonical inputs): a decision can be re-made from here alone.
CREATE TABLE evidence (
    sha256 text PRIMARY KEY,
    body bytea NOT NULL
);

CREATE TABLE decision (
    decision_id text NOT NULL REFERENCES need (need_id),
    revision integer NOT NULL,
    location text NOT NULL,
    item text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('hold', 'proposal')),
    decided_at timestamptz NOT NULL,
    body bytea NOT NULL,
    proposal_hash text NOT NULL,
    inputs_sha256 text NOT NULL REFERENCES evidence (sha256),
    model_digest text NOT NULL,
    policy_digest text NOT NULL REFERENCES policy_version (digest),
    horizon_end date NOT NULL,
    PRIMARY KEY (decision_id, revision)
);
CREATE INDEX decision_by_position ON decision (location, item, decided_at DESC);
CREATE INDEX decision_by_horizon ON decision (location, horizon_end);

-- One row per proposal: its life from proposed to closed. `units` are the proposal's; a person's edit is in `approval`.
CREATE TABLE replenishment (
    decision_id text PRIMARY KEY REFERENCES need (need_id),
    revision integer NOT NULL,
    proposal_hash text NOT NULL,
    location text NOT NULL,
    item text NOT NULL,
    supplier text NOT NULL,
    units bigint NOT NULL,
    unit_cost numeric(16, 4) NOT NULL,
    tier text NOT NULL CHECK (tier IN ('auto', 'review', 'blocked')),
    state text NOT NULL DEFAULT 'proposed'
        CHECK (state IN ('proposed', 'released', 'rejected', 'expired', 'voided', 'blocked')),
    order_id text,
    decided_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    workflow_started_at timestamptz,
    traceparent text,
    closed_at timestamptz,
    FOREIGN KEY (decision_id, revision) REFERENCES decision
);
CREATE INDEX replenishment_unstarted ON replenishment (recorded_at) WHERE workflow_started_at IS NULL;
CREATE INDEX replenishment_open ON replenishment (location, item) WHERE state = 'proposed';

CREATE TABLE task (
    decision_id text PRIMARY KEY REFERENCES replenishment,
    revision integer NOT NULL,
    proposal_hash text NOT NULL,
    location text NOT NULL,
    item text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'rejected', 'expired', 'voided')),
    value numeric NOT NULL,
    cost_of_waiting numeric NOT NULL,
    opened_at timestamptz NOT NULL,
    remind_at timestamptz NOT NULL,
    escalate_at timestamptz NOT NULL,
    expire_at timestamptz NOT NULL,
    reminded_at timestamptz,
    escalated_at timestamptz,
    available_units bigint NOT NULL,
    tolerance_units bigint NOT NULL,
    rescore_asked_at timestamptz,
    answered_at timestamptz,
    answered_by text
);
CREATE INDEX task_open ON task (cost_of_waiting DESC, decision_id) WHERE state = 'open';

CREATE TABLE approval (
    approval_id text PRIMARY KEY,
    decision_id text NOT NULL REFERENCES task,
    revision integer NOT NULL,
    proposal_hash text NOT NULL,
    meaning text NOT NULL CHECK (meaning IN ('approve', 'approve_edited', 'reject', 'expire')),
    units bigint,
    reason text,
    comment text NOT NULL DEFAULT '',
    actor text NOT NULL,
    channel text NOT NULL,
    command_digest text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    voided_at timestamptz,
    heard_at timestamptz
);
-- The first valid verdict counts, whoever is second.
CREATE UNIQUE INDEX approval_first_counts ON approval (decision_id) WHERE voided_at IS NULL;
CREATE INDEX approval_unheard ON approval (recorded_at) WHERE heard_at IS NULL AND voided_at IS NULL;

CREATE TABLE outcome (
    decision_id text PRIMARY KEY REFERENCES need (need_id),
    measured_at timestamptz NOT NULL,
    body bytea NOT NULL,
    stocked_out boolean NOT NULL,
    within_interval boolean NOT NULL,
    cost numeric NOT NULL
);

CREATE TABLE model_version (
    digest text PRIMARY KEY,
    number integer GENERATED ALWAYS AS IDENTITY,
    status text NOT NULL
        CHECK (status IN ('candidate', 'awaiting_approval', 'champion', 'retired', 'refused')),
    trained_through date NOT NULL,
    training_set_sha256 text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    promoted_at timestamptz,
    facts bytea NOT NULL,
    comparison bytea,
    gate bytea
);
CREATE UNIQUE INDEX model_one_champion ON model_version ((true)) WHERE status = 'champion';
