"""Permissions in words, for the pages about people."""

from collections.abc import Iterable

from console.words import Word
from workflows.domain.erasure import ErasureReason
from workflows.domain.people import LOCATED, Permission

__all__ = ["DISABLED", "ERASURE", "LOCATED", "PERMISSIONS", "granted"]

DISABLED = Word("Disabled", "dash", "warn")
PERMISSIONS: dict[Permission, str] = {
    Permission.SEE: "See pages and figures",
    Permission.WORK: "Claim, snooze, comment on and forward tasks",
    Permission.ANSWER: "Approve and reject tasks",
    Permission.COUNTERSIGN: "Give the second signature",
    Permission.PROPOSE_POLICY: "Propose policy changes",
    Permission.ADOPT_POLICY: "Approve policy changes of others",
    Permission.EDIT_CATALOG: "Edit the catalog",
    Permission.PROMOTE: "Promote models and go back to earlier ones",
    Permission.OPERATE: "Stop and resume sending, drive dead letters again",
    Permission.AUDIT: "Search, verify and export the record",
    Permission.MANAGE_PEOPLE: "Manage people and their rights",
}
ERASURE: dict[ErasureReason, str] = {
    ErasureReason.REQUEST: "The person asked for it",
    ErasureReason.NOT_NEEDED: "They left, and nothing needs the name any more",
    ErasureReason.UNLAWFUL: "They should never have been here",
    ErasureReason.OBLIGATION: "A law or an authority wants it",
}


def granted(permissions: Iterable[Permission]) -> str:
    """What a role grants, in one line."""
    wanted = set(permissions)
    return "; ".join(text for permission, text in PERMISSIONS.items() if permission in wanted)
