"""What the engine's codes are called on a page, and which icon stands beside the words: colour never speaks alone."""

from typing import NamedTuple

from workflows.domain.alternatives import Course
from workflows.domain.approvals import Meaning, RejectReason, TaskState
from workflows.domain.decisions import HoldReason
from workflows.domain.ledger import EntryType
from workflows.domain.models import ModelStatus
from workflows.domain.orders import OrderState
from workflows.domain.policies import RiskTier, RuleCode
from workflows.domain.policy_changes import ChangeKind, ChangeState


class Word(NamedTuple):
    """A code in words, its icon (a symbol of static/icons.svg) and how it is coloured."""

    text: str
    icon: str
    tone: str = "plain"


RULES: dict[str, Word] = {
    RuleCode.VALUE_ABOVE_LIMIT: Word("Above the value limit", "coin", "warn"),
    RuleCode.SOON_OUT_OF_STOCK: Word("Soon out of stock", "alert", "bad"),
    RuleCode.FIRST_ORDER_OF_ITEM: Word("First order of this item", "star"),
    RuleCode.FIRST_ORDER_AT_SUPPLIER: Word("New supplier", "truck"),
    RuleCode.MORE_THAN_USUAL: Word("More than usual", "up", "warn"),
    RuleCode.LITTLE_HISTORY: Word("Little history", "history"),
    RuleCode.STALE_INPUTS: Word("Old figures", "clock", "warn"),
    RuleCode.DRIFT_ALARM: Word("Forecasts under alarm", "alert", "warn"),
    RuleCode.SUPPLIER_REFUSED_LATELY: Word("Supplier refused lately", "cross", "bad"),
    RuleCode.SUPPLIER_ASKED_FOR: Word("Supplier asked for", "truck"),
    RuleCode.WORTH_A_LOOK: Word("Worth a look", "scales"),
    RuleCode.COSTLY_IF_WRONG: Word("Costly if wrong", "scales", "warn"),
    RuleCode.VALUE_ABOVE_ANY_LIMIT: Word("Above every limit", "coin", "bad"),
    RuleCode.NEEDS_TWO_SIGNATURES: Word("Two signatures", "check", "warn"),
    RuleCode.MORE_THAN_LAST_ORDER: Word("More than last time", "up", "warn"),
    RuleCode.COVER_TOO_LONG: Word("Lasts too long", "clock", "warn"),
    RuleCode.PRICE_DEVIATES: Word("Price changed", "coin", "warn"),
    RuleCode.EVERY_ORDER_REVIEWED: Word("Every order is reviewed", "check"),
    RuleCode.AUDIT_SAMPLE: Word("Audit sample", "star"),
    RuleCode.SUGGESTION_ONLY: Word("Suggestion only", "dash"),
    RuleCode.NO_SUPPLIER: Word("No supplier", "cross", "bad"),
}

TASKS: dict[str, Word] = {
    TaskState.OPEN: Word("Waits for a person", "clock", "warn"),
    TaskState.APPROVED: Word("Approved", "check", "good"),
    TaskState.REJECTED: Word("Rejected", "cross", "bad"),
    TaskState.EXPIRED: Word("Expired unanswered", "clock"),
    TaskState.VOIDED: Word("No longer needed", "dash"),
}

MEANINGS: dict[str, str] = {
    Meaning.APPROVE: "approved",
    Meaning.APPROVE_EDITED: "approved with another quantity",
    Meaning.REJECT: "rejected",
    Meaning.EXPIRE: "expired: nobody answered in time",
}

REASONS: dict[str, str] = {
    RejectReason.NOT_NEEDED: "Not needed",
    RejectReason.TOO_MUCH: "Too much",
    RejectReason.TOO_EXPENSIVE: "Too expensive",
    RejectReason.WRONG_FORECAST: "The forecast is wrong",
    RejectReason.SUPPLIER_ISSUE: "A problem with the supplier",
    RejectReason.PHASE_OUT: "The item is being phased out",
    RejectReason.OTHER: "Something else (say what)",
}

COURSES: dict[str, str] = {
    Course.WAIT: "Wait until the next review",
    Course.HALF: "Half of it",
    Course.PACK_LESS: "One pack less",
    Course.NOW: "Order now",
    Course.PACK_MORE: "One pack more",
    Course.HALF_MORE: "Half as much again",
    Course.ASKED: "Your quantity",
}

HOLDS: dict[str, str] = {
    HoldReason.COVERED: "Stock suffices",
    HoldReason.CHEAPER_TO_WAIT: "Waiting is cheaper",
    HoldReason.BELOW_MINIMUM_VALUE: "Below the supplier's minimum order",
    HoldReason.NO_DEMAND: "No demand expected",
}

ORDERS: dict[str, Word] = {
    OrderState.COLLECTING: Word("Collecting lines", "clock"),
    OrderState.SENDING: Word("Being sent", "truck"),
    OrderState.IN_DOUBT: Word("In doubt", "alert", "warn"),
    OrderState.PLACED: Word("Placed", "check", "good"),
    OrderState.REFUSED: Word("Refused", "cross", "bad"),
    OrderState.RECEIVED: Word("Received", "check", "good"),
    OrderState.CLOSED: Word("Closed short", "dash"),
    OrderState.EMPTY: Word("Empty", "dash"),
    OrderState.WITHHELD: Word("Withheld (passive mode)", "dash", "warn"),
}

MODELS: dict[str, Word] = {
    ModelStatus.CANDIDATE: Word("Candidate", "clock"),
    ModelStatus.AWAITING_APPROVAL: Word("Waits for a person", "clock", "warn"),
    ModelStatus.CHAMPION: Word("Champion", "star", "good"),
    ModelStatus.RETIRED: Word("Retired", "dash"),
    ModelStatus.REFUSED: Word("Refused by the gate", "cross", "bad"),
}

CHANGES: dict[str, Word] = {
    ChangeState.PROPOSED: Word("Waits for a person", "clock", "warn"),
    ChangeState.ADOPTED: Word("Adopted", "check", "good"),
    ChangeState.REJECTED: Word("Rejected", "cross", "bad"),
}

CHANGE_KINDS: dict[str, str] = {
    ChangeKind.POLICY: "Limits",
    ChangeKind.SERVICE_TARGET: "Service target and safety stock",
    ChangeKind.REVIEW_PERIOD: "Review period",
}

OUTCOMES: dict[str, Word] = {
    "hold": Word("Nothing ordered", "dash"),
    RiskTier.AUTO: Word("Released by policy", "check", "good"),
    RiskTier.REVIEW: Word("A person decides", "clock", "warn"),
    RiskTier.BLOCKED: Word("Blocked", "cross", "bad"),
}

ENTRIES: dict[str, str] = {
    EntryType.EVENTS_ACCEPTED: "Events were accepted",
    EntryType.HISTORY_IMPORTED: "Recorded history was imported",
    EntryType.CATALOG_CHANGED: "The catalog changed",
    EntryType.POLICY_ADOPTED: "A policy was adopted",
    EntryType.POLICY_PROPOSED: "A policy change was proposed",
    EntryType.POLICY_APPROVED: "A policy change was approved",
    EntryType.POLICY_REJECTED: "A policy change was rejected",
    EntryType.POLICY_REFUSED: "An answer to a policy change was refused",
    EntryType.HOLDS_RECORDED: "Recorded as a hold",
    EntryType.DECISION_PROPOSED: "A proposal was made",
    EntryType.DECISION_RELEASED: "The proposal was released to a purchase order",
    EntryType.DECISION_CLOSED: "The decision was closed",
    EntryType.TASK_OPENED: "A person was asked",
    EntryType.TASK_REMINDED: "A reminder was due",
    EntryType.TASK_ESCALATED: "Somebody else was asked to look",
    EntryType.TASK_CLAIMED: "Somebody began to work on it",
    EntryType.TASK_RELEASED_CLAIM: "A claim was given back",
    EntryType.TASK_SNOOZED: "It was put off",
    EntryType.TASK_WOKEN: "It came back to the inbox",
    EntryType.TASK_COMMENTED: "Something was said about it",
    EntryType.TASK_FORWARDED: "It was handed to somebody else",
    EntryType.TASK_RESCORE_ASKED: "A new score was asked for",
    EntryType.TASK_WISH_DROPPED: "The supplier that was asked for cannot be had",
    EntryType.SUBSTITUTE_NAMED: "A substitute was named",
    EntryType.VERDICT_RECORDED: "A verdict was recorded",
    EntryType.VERDICT_REFUSED: "A verdict was refused",
    EntryType.VERDICT_SIGNED: "The first of two people signed",
    EntryType.VERDICT_WITHDRAWN: "The answer was taken back",
    EntryType.APPROVAL_VOIDED: "An approval lost its meaning: the proposal changed",
    EntryType.LINE_REFUSED: "The send gate refused the line",
    EntryType.ORDER_PREPARED: "The purchase order was prepared",
    EntryType.ORDER_SENT: "The purchase order was sent",
    EntryType.ORDER_ANSWERED: "The supplier answered",
    EntryType.ORDER_CLOSED: "The purchase order was closed",
    EntryType.OUTCOME_MEASURED: "The outcome was measured",
    EntryType.MODEL_TRAINED: "A model was trained",
    EntryType.MODEL_JUDGED: "A model was judged",
    EntryType.MODEL_PROMOTED: "A model was promoted",
    EntryType.MODEL_ROLLED_BACK: "The model before was brought back",
    EntryType.DRIFT_ALARMED: "A drift alarm began",
    EntryType.DRIFT_ENDED: "A drift alarm ended",
    EntryType.DEMAND_DEFINED: "What counts as demand was defined",
    EntryType.DEMAND_ADJUSTED: "Somebody spoke about days of demand",
    EntryType.DEMAND_WITHDRAWN: "A word about demand was withdrawn",
    EntryType.DRIVERS_IMPORTED: "Numbers from outside were loaded",
    EntryType.SHELF_SUSPECTED: "A silent shelf should be counted",
    EntryType.SHELF_SETTLED: "A silent shelf was counted, or sold",
    EntryType.PERSON_CHANGED: "A person's rights were changed",
    EntryType.ACCESS_REFUSED: "An attempt was refused",
    EntryType.SESSION_OPENED: "Somebody signed in",
    EntryType.SESSION_ENDED: "Somebody signed out",
    EntryType.AUDIT_READ: "The ledger was read",
    EntryType.EXPORT_MADE: "Records were exported",
    EntryType.DEAD_LETTER_REDRIVEN: "A dead letter was sent again",
    EntryType.DEAD_LETTER_REDRIVE_ASKED: "Somebody asked that a dead letter be sent again",
    EntryType.DEAD_LETTER_REDRIVE_CONFIRMED: "A second person let a dead letter be sent again",
    EntryType.DEAD_LETTER_REDRIVE_DECLINED: "A second person declined to send a dead letter again",
    EntryType.DEAD_LETTER_REDRIVE_WITHDRAWN: "It was taken back that a dead letter be sent again",
    EntryType.SENDING_STOPPED: "Sending was stopped",
    EntryType.SENDING_RESUMED: "Sending was resumed",
    EntryType.ORDER_HELD: "A stop switch or a value cap held the purchase order",
    EntryType.ORDER_AWAITS_OPERATOR: "The purchase order could not be placed and waits for an operator",
    EntryType.ORDER_RETRIED: "Somebody had the purchase order tried again",
    EntryType.ORDER_ATTENDED: "Somebody looked at the failed purchase order",
    EntryType.ORDER_RECEIVED: "Goods of the purchase order came in",
    EntryType.KEY_INSTALLED: "The notary's key was installed",
    EntryType.KEY_ROTATED: "The notary's key was replaced",
    EntryType.HISTORIES_EXPORTED: "Histories of closed workflows were kept",
    EntryType.WORKFLOW_OVERRIDDEN: "Somebody ended or reset a workflow past the engine",
    EntryType.SETTING_CHANGED: "A setting was changed",
    EntryType.SCHEMA_CHANGED: "The database's schema was changed",
    EntryType.PERSON_ERASED: "A person's data were erased",
    EntryType.DECISIONS_REPLAYED: "Decisions were re-run",
    EntryType.COUNTERFACTUAL_ASKED: "Somebody asked what would have been decided",
    EntryType.RECONCILIATION_REPORTED: "Orders were compared with the supplier's own list",
    EntryType.DIFFERENCE_EXPLAINED: "Somebody explained a difference from the supplier's list",
}


def word(words: dict[str, Word], code: str) -> Word:
    """The code in words; a code that this console does not know yet is shown as it is."""
    return words.get(code) or Word(code.replace("_", " "), "dash")


def text(words: dict[str, str], code: str | None) -> str:
    """The same for codes without an icon."""
    return words.get(code or "") or (code or "").replace("_", " ")


def risk(share: object) -> Word:
    """A probability of running out in words, so that nobody needs the colour."""
    share = float(str(share))
    if share >= 0.5:
        return Word("high", "risk-high", "bad")
    return Word("medium", "risk-medium", "warn") if share >= 0.2 else Word("low", "risk-low", "good")
