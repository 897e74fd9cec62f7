-- One role for each process, none of which owns anything: what each may do is granted where its tables are made.
-- Roles belong to the whole server, so another database of it may have made them already.

DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['qm_intake', 'qm_worker', 'qm_console', 'qm_notary', 'qm_auditor', 'qm_retention'] LOOP
        -- Whoever administers the server may have made it, and then the owner of the tables need not be able to.
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = v_role);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', v_role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;
