"""The words about sending a dead letter again, in memory: the same rules, and no broker."""

from typing import Any

from tests.fakes.desk import MemoryShop
from tests.fakes.once import Once
from workflows.domain.approvals import Actor
from workflows.domain.errors import NotFound
from workflows.domain.events import content_digest
from workflows.domain.redrives import Redrive, Redriven, RedriveState, asked_so, given_so, refusal


class MemoryRedrives:
    """`Redrives` over the shop's dead letters; `redriven` are those that were sent again."""

    def __init__(self, shop: MemoryShop) -> None:
        self._shop = shop
        self._once = Once()
        self.redriven: list[int] = []
        self.asked: list[Redrive] = []

    def newest(self, dead_letter_id: int) -> Redrive | None:
        """Who asked last."""
        return next((one for one in self.asked[::-1] if one.dead_letter_id == dead_letter_id), None)

    async def ask_redrive(
        self, dead_letter_id: int, reason: str, actor: Actor, *, mended: bytes | None = None,
        command_id: str | None = None,
    ) -> Redrive:  # fmt: skip
        self._letter(dead_letter_id)
        payload = b"{}" if mended is None else mended
        sha256 = content_digest(payload)
        said = {"do": "ask", "by": actor.name, "letter": dead_letter_id, "reason": reason, "sha256": sha256}
        if before := self._once.answered(command_id, said):
            return before  # type: ignore[no-any-return]
        found = self.newest(dead_letter_id)
        if found is None or found.state is not RedriveState.ASKED or not asked_so(found, actor, reason, sha256):
            found = Redrive(
                redrive_id=len(self.asked) + 1, dead_letter_id=dead_letter_id, state=RedriveState.ASKED,
                asked_by=actor.name, asked_at=self._shop.clock, reason=reason, mended=mended is not None,
                bytes=len(payload), payload_sha256=sha256,
            )  # fmt: skip
            self.asked.append(found)
        return self._once.keep(command_id, said, found)  # type: ignore[no-any-return]

    async def confirm_redrive(
        self, redrive_id: int, payload_sha256: str, actor: Actor, *, command_id: str | None = None
    ) -> Redriven:
        said = {"do": "confirm", "by": actor.name, "redrive": redrive_id, "sha256": payload_sha256}
        if before := self._once.answered(command_id, said):
            return before  # type: ignore[no-any-return]
        found = self._settle(redrive_id, RedriveState.CONFIRMED, actor, digest=payload_sha256)
        letter = self._letter(found.dead_letter_id)
        if found.sent_at is None:
            self.redriven.append(found.dead_letter_id)
            letter["redriven_at"] = self._shop.clock
            self.asked[redrive_id - 1] = found.model_copy(update={"sent_at": self._shop.clock})
        sent = Redriven(dead_letter_id=found.dead_letter_id, topic=letter["topic"])
        return self._once.keep(command_id, said, sent)  # type: ignore[no-any-return]

    async def decline_redrive(
        self, redrive_id: int, reason: str, actor: Actor, *, command_id: str | None = None
    ) -> Redrive:
        return self._answer(redrive_id, RedriveState.DECLINED, actor, command_id, reason)

    async def withdraw_redrive(self, redrive_id: int, actor: Actor, *, command_id: str | None = None) -> Redrive:
        return self._answer(redrive_id, RedriveState.WITHDRAWN, actor, command_id)

    def _answer(
        self, redrive_id: int, word: RedriveState, actor: Actor, command_id: str | None, reason: str = ""
    ) -> Redrive:
        said = {"do": word, "by": actor.name, "redrive": redrive_id, "reason": reason}
        if before := self._once.answered(command_id, said):
            return before  # type: ignore[no-any-return]
        found = self._settle(redrive_id, word, actor, reason=reason)
        return self._once.keep(command_id, said, found)  # type: ignore[no-any-return]

    def _settle(
        self, redrive_id: int, word: RedriveState, actor: Actor, *, digest: str | None = None, reason: str = ""
    ) -> Redrive:
        if not 1 <= redrive_id <= len(self.asked):
            raise NotFound(f"nobody asked for a re-drive {redrive_id}")
        found = self.asked[redrive_id - 1]
        if given_so(found, actor, word):
            return found
        sent_at = self._letter(found.dead_letter_id)["redriven_at"]
        if (refused := refusal(found, actor, word, digest=digest, redriven_at=sent_at)) is not None:
            raise refused
        told = {"state": word, "decided_by": actor.name, "decided_at": self._shop.clock, "decided_reason": reason}
        self.asked[redrive_id - 1] = found.model_copy(update=told)
        return self.asked[redrive_id - 1]

    def _letter(self, dead_letter_id: int) -> dict[str, Any]:
        found = next((one for one in self._shop.dead_letters if one["dead_letter_id"] == dead_letter_id), None)
        if found is None:
            raise NotFound(f"there is no dead letter {dead_letter_id}")
        return found
