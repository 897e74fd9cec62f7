-- Two fences around what leaves.

-- A withdrawn order's needs are ordered again. While something of it may be at the supplier, that would be two orders.
CREATE FUNCTION nothing_in_doubt_is_withdrawn() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'order % may be at the supplier and is not withdrawn', NEW.order_id
        USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER nothing_in_doubt_is_withdrawn BEFORE UPDATE ON purchase_order FOR EACH ROW
    WHEN (NEW.request = 'withdrawn' AND OLD.request IS DISTINCT FROM 'withdrawn' AND OLD.open_requests > 0)
    EXECUTE FUNCTION nothing_in_doubt_is_withdrawn();

-- A pause that is over stands until somebody sets the next switch, and must not keep a cap from holding the same order.
DROP INDEX send_stop_in_force;
CREATE UNIQUE INDEX send_stop_in_force ON send_stop (scope, subject, (over_cap IS NULL)) WHERE lifted_at IS NULL;
