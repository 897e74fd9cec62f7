"""Health is judged here and nowhere else: each fact gets a light, what it means and what to do about it."""

from datetime import timedelta

from workflows.domain.health import Aspect, Check, Facts, Health, Light, Pile
from workflows.domain.histories import room

MINUTE, HOUR = 60.0, 3600.0
_WORST = (Light.GREEN, Light.UNKNOWN, Light.AMBER, Light.RED)


def worst(lights: tuple[Light, ...]) -> Light:
    """The light that counts when there are several."""
    return max(lights, key=_WORST.index, default=Light.GREEN)


def judge(facts: Facts) -> Health:
    """Every check of these facts, in the order of the page."""
    checks = (*_stuck(facts), *_doubt(facts), *_lagging(facts), *_poisoned(facts), *_running(facts))
    return Health(light=worst(tuple(check.light for check in checks)), at=facts.at, checks=checks, facts=facts)


def age(seconds: float) -> str:
    """A span in words: `40 s`, `12 min`, `5 h`, `3 d`."""
    if seconds < 120:
        return f"{max(0, seconds):.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"


def _count(pile: Pile, one: str, more: str) -> str:
    if pile.n == 0:
        return "none"
    what = one if pile.n == 1 else more
    oldest = f", the oldest for {age(pile.oldest_seconds)}" if pile.oldest_seconds is not None else ""
    return f"{pile.n:,}{'+' if pile.capped else ''} {what}{oldest}"


def _by_age(pile: Pile, amber: float, red: float) -> Light:
    oldest = pile.oldest_seconds or 0
    if pile.n == 0 or oldest < amber:
        return Light.GREEN
    return Light.RED if oldest >= red else Light.AMBER


def _stuck(facts: Facts) -> tuple[Check, ...]:
    held = facts.orders_held
    return (
        Check(
            name="needs_open", aspect=Aspect.STUCK, title="Needs without a decision",
            light=_by_age(facts.needs_open, 10 * MINUTE, HOUR), says=_count(facts.needs_open, "need", "needs"),
            means="Stock that fell below its watch level and was not assessed yet. Seconds are normal.",
            advice="See that a worker runs and that there is a champion model; `quartermaster doctor` names what does "
            "not answer. Needs wait in the database and none is lost.",
        ),
        Check(
            name="batches_unfinished", aspect=Aspect.STUCK, title="Assessments under way",
            light=_by_age(facts.batches_unfinished, 15 * MINUTE, HOUR),
            says=_count(facts.batches_unfinished, "unfinished batch", "unfinished batches"),
            means="Batches of needs that are being scored. The relay starts one again when it was lost.",
            advice="Look at the worker's log for the batch's workflow; restart the worker if it is silent.",
        ),
        Check(
            name="proposals_unseen", aspect=Aspect.STUCK, title="Proposals without a workflow",
            light=_by_age(facts.proposals_unseen, 2 * MINUTE, 15 * MINUTE),
            says=_count(facts.proposals_unseen, "proposal not carried", "proposals not carried"),
            means="Proposals that were recorded and whose workflow was not seen to start.",
            advice="The relay starts them after 30 seconds: see that `quartermaster intake` runs and reaches Temporal.",
        ),
        Check(
            name="approvals_unheard", aspect=Aspect.STUCK, title="Answers that were not heard",
            light=_by_age(facts.approvals_unheard, MINUTE, 15 * MINUTE),
            says=_count(facts.approvals_unheard, "answer not heard", "answers not heard"),
            means="People's answers stand in the database; the waiting workflow has not been told yet.",
            advice="The relay tells them again every round: see that it runs and that Temporal answers.",
        ),
        Check(
            name="orders_overdue", aspect=Aspect.STUCK, title="Orders past their cutoff",
            light=_by_age(facts.orders_overdue, 15 * MINUTE, 2 * HOUR),
            says=_count(facts.orders_overdue, "order not placed", "orders not placed"),
            means="Their cutoff passed and the supplier has not got them yet; retries go on by themselves.",
            advice="Open the oldest: its reason says what the supplier answered. Stop the supplier if it is broken.",
            href="/orders?state=overdue",
        ),
        Check(
            name="orders_awaiting", aspect=Aspect.STUCK, title="Orders that wait for an operator",
            light=Light.RED if facts.orders_awaiting.n else Light.GREEN,
            says=_count(facts.orders_awaiting, "order waits for you", "orders wait for you"),
            means="The engine tries no more by itself: it cannot find out whether the supplier has them, or could not "
            "place them for six hours.",
            advice="Open each: it says what is known and what you can do. Where nobody can look for it, ask the "
            "supplier. After a long outage, try all of them again there.",
            href="/orders?state=awaits_operator",
        ),
        Check(
            name="orders_held", aspect=Aspect.STUCK, title="Orders that are held back",
            light=Light.AMBER if held.n or facts.stops else Light.GREEN,
            says=f"{_count(held, 'held order', 'held orders')}; switches that are set: {len(facts.stops)}",
            means="Somebody stopped sending, or a value cap holds an order. Lines still collect, nothing is lost.",
            advice="Lift the switch below when its reason is gone: the orders go on within seconds. Lifting "
            "a cap's switch lets that order go over it.",
            href="/orders?state=held",
        ),
        Check(
            name="circuits_open", aspect=Aspect.STUCK, title="Suppliers that do not answer",
            light=_by_age(facts.circuits_open, 0, 15 * MINUTE),
            says=_count(facts.circuits_open, "supplier left alone", "suppliers left alone"),
            means="Too many requests to them came to nothing. Nothing is sent until a question is answered.",
            advice="It closes by itself as soon as they answer. If they do not: call them, and look at the address and "
            "the key that the connector uses.",
            href="#circuits",
        ),
    )  # fmt: skip


def _doubt(facts: Facts) -> tuple[Check, ...]:
    return (
        Check(
            name="orders_in_doubt", aspect=Aspect.IN_DOUBT, title="Orders in doubt",
            light=_by_age(facts.orders_in_doubt, 2 * MINUTE, HOUR),
            says=_count(facts.orders_in_doubt, "order in doubt", "orders in doubt"),
            means="A request left and its answer was lost. The engine asks the supplier before it sends again.",
            advice="Most settle within a minute. If not, open the order: it says what is known, what happens next and "
            "what you can say of it once you have asked the supplier.",
            href="/orders?state=in_doubt",
        ),
        Check(
            name="orders_refused", aspect=Aspect.IN_DOUBT, title="Orders that were refused",
            light=Light.AMBER if facts.orders_refused.n else Light.GREEN,
            says=_count(facts.orders_refused, "order unseen", "orders unseen"),
            means="The supplier understood and said no. Their lines left the position and may be needed again.",
            advice="Read the reason, mend the catalog or the supplier's terms, then mark the order as seen.",
            href="/orders?state=failed",
        ),
        Check(
            name="differences_open", aspect=Aspect.IN_DOUBT, title="Differences from suppliers' lists",
            light=Light.AMBER if facts.differences_open.n else Light.GREEN,
            says=_count(facts.differences_open, "difference unexplained", "differences unexplained"),
            means="The supplier's own list of orders is not ours: something is missing, double, different or unknown.",
            advice="Read them, settle each with the supplier, then say beside it why it is no fault. "
            "`quartermaster orders differences` lists the same.",
            href="/reconciliation",
        ),
        Check(
            name="reports_unfinished", aspect=Aspect.IN_DOUBT, title="Suppliers' lists that could not be read",
            light=_by_age(facts.reports_unfinished, 2 * HOUR, 48 * HOUR),
            says=_count(facts.reports_unfinished, "list not read to its end", "lists not read to their end"),
            means="Our orders are compared with each supplier's own list every day. This one goes on where it stopped.",
            advice="See that the supplier answers, then `quartermaster orders reconcile --supplier NAME` reads on now.",
            href="/reconciliation",
        ),
    )  # fmt: skip


def _lagging(facts: Facts) -> tuple[Check, ...]:
    known = [part for part in facts.partitions if part.behind is not None]
    behind = sum(part.behind or 0 for part in known)
    looked = max((part.looked_seconds or 0 for part in known), default=None)
    silent = looked is None or looked > 120
    lag = Light.UNKNOWN if looked is None else Light.RED if silent else Light.AMBER if behind > 10_000 else Light.GREEN
    standing = facts.clocks[0].moved_seconds if facts.clocks else None
    late = facts.live_clocks and standing is not None and standing > 300
    relay = next((one for one in facts.processes if one.name == "quartermaster-relay"), None)
    beat = relay.quiet_seconds if relay else None
    return (
        Check(
            name="intake_lag", aspect=Aspect.LAGGING, title="Intake behind the log", light=lag,
            says="intake has not said how far it is" if looked is None
            else f"{behind:,} messages behind, looked {age(looked)} ago",
            means="Events that the broker has and the database has not. Intake compares every 15 seconds.",
            advice="Silent: start `quartermaster intake`. Far behind and growing: start another one, up to one per "
            "partition, or see whether it pauses because needs pile up.",
            href="/live",
        ),
        Check(
            name="clocks", aspect=Aspect.LAGGING, title="Business clocks",
            light=Light.RED if late else Light.GREEN if facts.clocks else Light.UNKNOWN,
            says="no location has a clock yet" if standing is None
            else f"{facts.clocks[0].location} stands longest: for {age(standing)}",
            means="Deadlines and cutoffs are on these clocks. A replayed clock stands when its feed rests.",
            advice="Live: the relay moves them, see that it runs. Replayed: feed on, `quartermaster feed`.",
        ),
        Check(
            name="relay", aspect=Aspect.LAGGING, title="The relay's last round",
            light=Light.RED if beat is None or beat > 60 else Light.AMBER if beat > 15 else Light.GREEN,
            says="no relay is connected" if beat is None else f"{age(beat)} ago",
            means="The relay starts and wakes workflows from what the database knows, four times a second.",
            advice="Start `quartermaster intake`: the relay runs beside it. Its log says what it waits for.",
        ),
    )  # fmt: skip


def _poisoned(facts: Facts) -> tuple[Check, ...]:
    total = sum(reason.n for reason in facts.reasons)
    newest = min((reason.newest_seconds for reason in facts.reasons), default=None)
    fresh = newest is not None and newest < 86_400
    names = ", ".join(reason.code for reason in facts.reasons[:3])
    return (
        Check(
            name="dead_letters", aspect=Aspect.POISONED, title="Messages that could not be read",
            light=Light.AMBER if fresh else Light.GREEN,
            says="none waits" if newest is None else f"{total:,} wait ({names}), the newest {age(newest)} old",
            means="They stand aside with their bytes and the reason; everything behind them went on.",
            advice="Mend the sender, then ask that they be sent again, for another person to confirm: unchanged here, "
            "mended with `quartermaster dead-letters redrive NUMBER --reason WHY --payload FILE`.",
            href="/dead-letters",
        ),
    )  # fmt: skip


def _running(facts: Facts) -> tuple[Check, ...]:
    days = facts.model_days
    worker = any(one.name == "quartermaster-worker" for one in facts.processes)
    return (
        Check(
            name="worker", aspect=Aspect.RUNNING, title="Worker", light=Light.GREEN if worker else Light.RED,
            says="connected" if worker else "no worker is connected to the database",
            means="Workers score, decide and place orders.", advice="Start `quartermaster worker`.",
        ),
        Check(
            name="model", aspect=Aspect.RUNNING, title="Model in use",
            light=Light.RED if days is None else Light.AMBER if days > 35 else Light.GREEN,
            says="there is no champion" if days is None else f"trained {days} business days ago",
            means="Forecasts age; retraining runs by schedule and when an alarm asks for it.",
            advice="See the models' page: a candidate may wait for approval or have been refused.", href="/models",
        ),
        Check(
            name="drift", aspect=Aspect.RUNNING, title="Drift alarms",
            light=Light.AMBER if facts.drift_alarms else Light.GREEN,
            says=f"{facts.drift_alarms} open" if facts.drift_alarms else "none",
            means="Forecasts of a segment err more than they should; its proposals go to a person.",
            advice="Read the alarm on the models' page; a retraining was started where it can help.", href="/models",
        ),
        _histories(facts),
        _notary(facts),
        Check(
            name="storage", aspect=Aspect.RUNNING, title="Database", light=Light.GREEN,
            says=f"{facts.database_bytes / 2**30:,.1f} GiB"
            + (f"; largest: {facts.tables[0].name}" if facts.tables else ""),
            means="Events, decisions and the ledger are kept; they grow with what comes in.",
            advice="Watch the disk's own alarm: the engine deletes nothing of the record.",
        ),
    )  # fmt: skip


def _histories(facts: Facts) -> Check:
    seen = facts.histories
    left = room(timedelta(seconds=seen.swept_seconds), timedelta(seconds=seen.retention_seconds)) if seen else None
    over = left is not None and left.seconds <= 0
    return Check(
        name="histories", aspect=Aspect.RUNNING, title="Workflow histories",
        light=Light.RED if over else Light.AMBER if left is not None and left.alarm else Light.GREEN,
        says="nothing to keep yet" if seen is None or left is None
        else f"kept up to {age(seen.swept_seconds)} ago; "
        + ("Temporal removes some unkept" if over else f"Temporal removes none unkept for {age(left.seconds)}"),
        means="Closed workflows are kept with the record before Temporal's retention removes them.",
        advice="See that a worker runs and that the schedule `histories` is not paused; `quartermaster audit histories "
        "--sweep` keeps them now.",
    )  # fmt: skip


def _notary(facts: Facts) -> Check:
    waiting, alarms = facts.uncertified, facts.notary_alarms
    oldest = waiting.oldest_seconds or 0
    late = Light.RED if oldest >= HOUR else Light.AMBER if oldest >= 5 * MINUTE else Light.GREEN
    waits = f"{waiting.entries:,} {'entry waits' if waiting.entries == 1 else 'entries wait'} for a checkpoint" + (
        f", the oldest for {age(oldest)}" if waiting.entries else ""
    )
    return Check(
        name="notary", aspect=Aspect.RUNNING, title="Certified record", href="/audit",
        light=worst((late, *(Light.AMBER if one.only_warns else Light.RED for one in alarms))),
        says="; ".join([*(f"{one.kind}, for {age(one.seconds)}: {one.detail}" for one in alarms), waits]),
        means="The notary signs what is in the ledger within a minute or two. Until then a change would not be seen.",
        advice="No alarm, and the oldest waits for long: start `quartermaster notary`. An alarm says what it will not "
        "sign: change nothing, keep the anchors, and look with `quartermaster notary show` and `audit verify`.",
    )  # fmt: skip
