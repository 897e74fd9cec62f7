-- A policy changes only through a decision of its own: somebody proposes, somebody else approves, both on the record.

CREATE TABLE policy_change (
    -- Base, new document and the how-manieth proposal of this step it is: the same step proposed twice is one change.
    change_id text PRIMARY KEY,
    number integer NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('policy', 'service_target', 'review_period')),
    state text NOT NULL DEFAULT 'proposed' CHECK (state IN ('proposed', 'adopted', 'rejected')),
    base_digest text NOT NULL REFERENCES policy_version (digest),
    digest text NOT NULL,
    document bytea NOT NULL,
    author text NOT NULL,
    reason text NOT NULL,
    -- What the author saw: the dry run, and the measured figures of a proposal that rests on outcomes.
    dry_run bytea NOT NULL,
    evidence bytea NOT NULL,
    proposed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decided_by text,
    decided_at timestamptz,
    decided_reason text NOT NULL DEFAULT '',
    CHECK ((state = 'proposed') = (decided_by IS NULL)),
    CHECK (digest <> base_digest),
    -- Four eyes, whatever the program believes.
    CONSTRAINT policy_change_four_eyes CHECK (state <> 'adopted' OR lower(btrim(decided_by)) <> lower(btrim(author)))
);
CREATE UNIQUE INDEX policy_change_once ON policy_change (base_digest, digest) WHERE state = 'proposed';

-- The first version comes with the installation; every later one needs a change that was adopted in the same
-- transaction, on top of the version that was in force, and none is ever altered: decisions name them by digest.
CREATE FUNCTION policy_version_needs_a_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_current text;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION 'policy versions are never changed or removed: % is refused', TG_OP;
    END IF;
    IF EXISTS (SELECT 1 FROM policy_version WHERE version = NEW.version OR digest = NEW.digest) THEN
        RETURN NEW;  -- the unique constraints decide
    END IF;
    SELECT digest INTO v_current FROM policy_version ORDER BY version DESC LIMIT 1;
    IF v_current IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM policy_change
        WHERE state = 'adopted' AND digest = NEW.digest AND base_digest = v_current AND document = NEW.document
    ) THEN
        RAISE EXCEPTION 'a policy changes only through an approved change: version % is refused', NEW.version;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER policy_version_guard BEFORE INSERT OR UPDATE OR DELETE ON policy_version
    FOR EACH ROW EXECUTE FUNCTION policy_version_needs_a_change();
CREATE TRIGGER policy_version_keep BEFORE TRUNCATE ON policy_version
    FOR EACH STATEMENT EXECUTE FUNCTION policy_version_needs_a_change();

-- What is decided stays decided, and what was proposed stays what it was.
CREATE FUNCTION policy_change_is_decided_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' OR OLD.state <> 'proposed'
       OR (NEW.change_id, NEW.number, NEW.kind, NEW.base_digest, NEW.digest, NEW.document, NEW.author, NEW.reason,
           NEW.dry_run, NEW.evidence, NEW.proposed_at)
          IS DISTINCT FROM
          (OLD.change_id, OLD.number, OLD.kind, OLD.base_digest, OLD.digest, OLD.document, OLD.author, OLD.reason,
           OLD.dry_run, OLD.evidence, OLD.proposed_at) THEN
        RAISE EXCEPTION 'a policy change is decided once and never altered: % is refused', TG_OP;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER policy_change_guard BEFORE UPDATE OR DELETE ON policy_change
    FOR EACH ROW EXECUTE FUNCTION policy_change_is_decided_once();
