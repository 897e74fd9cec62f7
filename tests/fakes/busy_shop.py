"""A busy morning: what the inbox shows when several people work in it at once."""

from datetime import UTC, datetime, timedelta

from tests.fakes.desk import Case, MemoryShop
from tests.fakes.shop import CLOCK, decided, open_task, stocked_shop
from workflows.domain.approvals import TaskState
from workflows.domain.decisions import Decided, Proposal
from workflows.domain.inbox import Comment, Snooze
from workflows.domain.policies import RuleCode, RuleFired

OAT, TEA, MUG = "LEEDS:OAT-1L:1", "LONDON-WEST:22423:1", "YORK:MUG-E:1"
SAMPLE = "YORK:SALT-FINE:1"
SIGNED_ONCE = "LEEDS:COFFEE-1KG:1"
NAMES = (
    "Basmati rice 5 kg", "Olive oil extra vergine, first harvest, 750 ml", "Dishwasher tablets", "Pumpkin seeds",
    "Kitchen towel, four rolls", "Green tea, loose, 250 g", "Ginger shot", "Birthday candles, twenty", "Storage jar",
    "Wool blanket, grey, 130 x 170", "Bicycle lamp, front, rechargeable", "Notebook A5, squared",
)  # fmt: skip


def busy_shop(more: int = 12) -> MemoryShop:
    """The stocked shop with tasks in every state of work, and `more` ordinary ones."""
    shop = stocked_shop()
    _task(shop, OAT).update(
        claimed_by="Bo", claim_ends_at=datetime.now(UTC) + timedelta(minutes=11), version=2,
        comments=[_comment(OAT, "Ada", "Promotion runs until Sunday, is that in the forecast?", 50)],
    )  # fmt: skip
    _task(shop, TEA).update(
        forwarded_to="Ada", asked={"Ada"}, version=4,
        comments=[
            _comment(TEA, "Bo", "You know the potters: can they still make it before Christmas?", 95, to="Ada",
                     kind="question"),
            _comment(TEA, "Bo", "Yours, I am away this afternoon.", 30, to="Ada", kind="forward"),
        ],
    )  # fmt: skip
    _nap(shop, "LEEDS:CANDLE-1:1", Snooze(until=CLOCK + timedelta(days=1)))
    _nap(shop, "LEEDS:CANDLE-2:1", Snooze(until_receipt=True))
    _nap(shop, "LEEDS:CANDLE-3:1", Snooze(forecast_moves_percent=20))
    _task(shop, "LEEDS:CANDLE-4:1").update(changed_at=datetime.now(UTC) - timedelta(minutes=7), version=3)
    _task(shop, "LEEDS:CANDLE-5:1").update(
        claimed_by="Ada", claim_ends_at=datetime.now(UTC) + timedelta(minutes=4), version=2
    )
    _task(shop, MUG).update(escalated_at=CLOCK - timedelta(hours=1), version=2)
    coffee = decided(
        "Coffee beans, house blend", item="COFFEE-1KG", daily=64, on_hand=140, unit_cost="11.80", price="19.90",
        supplier="roaster-and-daughters", lead_days=9, risk="0.71", soon="0.44",
    )  # fmt: skip
    shop.put(coffee, "Coffee beans, house blend",
             task=open_task(16, signatures_needed=2, first_signature_by="Ada", version=2))  # fmt: skip
    salt = _sampled(decided("Table salt, fine", item="SALT-FINE", location="YORK", daily=9, on_hand=30,
                            unit_cost="0.60", price="1.20", risk="0.18", soon="0.02"))  # fmt: skip
    shop.put(salt, "Table salt, fine", task=open_task(44))
    answered = decided("Porridge oats 500 g", item="OATS-500", daily=14, on_hand=20, unit_cost="0.90", price="1.80")
    shop.put(answered, "Porridge oats 500 g",
             task=open_task(12, state=TaskState.APPROVED, answered_by="Bo",
                            answered_at=CLOCK - timedelta(minutes=25)))  # fmt: skip
    for number in range(more):
        name = NAMES[number % len(NAMES)]
        one = decided(
            name, item=f"SKU-{1000 + number}", location=("LEEDS", "YORK", "LONDON-WEST")[number % 3],
            daily=2 + 5 * (number % 7), on_hand=6 * (number % 9), unit_cost=f"{2 + number % 11}.40",
            price=f"{5 + 2 * (number % 11)}.90", supplier=("northern-foods", "blech-und-co", "acme")[number % 3],
            risk=f"0.{15 + 6 * (number % 13)}", soon=f"0.{10 + 5 * (number % 9)}", lead_days=3 + number % 12,
        )  # fmt: skip
        shop.put(one, name, task=open_task(8 + 5 * (number % 20)))
    return shop


def _sampled(one: Decided) -> Decided:
    """As if the policy had released it, and asked only to have a sample looked at."""
    assert isinstance(one.decision.result, Proposal)
    only = RuleFired(code=RuleCode.AUDIT_SAMPLE, detail="one of the 2 % of releases that a person looks at")
    result = one.decision.result.model_copy(update={"rules": (only,)})
    return one.model_copy(update={"decision": one.decision.model_copy(update={"result": result})})


def _task(shop: MemoryShop, decision_id: str) -> dict[str, object]:
    case: Case = shop.case(decision_id)
    assert case.task is not None
    return case.task


def _nap(shop: MemoryShop, decision_id: str, snooze: Snooze) -> None:
    _task(shop, decision_id).update(snoozed_until=snooze.until, snooze_words=snooze.words, version=2)


def _comment(
    decision_id: str, author: str, text: str, minutes_ago: int, *, to: str | None = None, kind: str = "comment"
) -> Comment:
    return Comment(
        comment_id=f"{decision_id}-{author}-{minutes_ago}", decision_id=decision_id, author=author, text=text, to=to,
        kind=kind, at=datetime.now(UTC) - timedelta(minutes=minutes_ago),
    )  # fmt: skip
