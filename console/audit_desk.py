"""Answers auditors, whoever brings the question: pages, REST API and command line ask here."""

import csv
import io
import json
from datetime import UTC, datetime

from console.tables import csv_safe
from workflows.domain.approvals import Actor
from workflows.domain.audit import AuditTrail, Export, LedgerLine, Question, SignedExport, Signer
from workflows.domain.identity import canonical, digest
from workflows.domain.people import People


async def about_people(question: Question, people: People) -> Question:
    """The question with a reference where somebody's name was typed: names leave the house in no export."""
    found = await people.named(question.person) if question.person else None
    return question.model_copy(update={"person": found.name}) if found else question


COLUMNS = (
    "stream", "seq", "type", "actor", "occurred_at", "recorded_at", "body", "body_sha256", "prev_hash", "hash",
)  # fmt: skip


class AuditDesk:
    """Exports with a signature; searching and verifying are the trail's own."""

    def __init__(self, trail: AuditTrail, signer: Signer) -> None:
        self.trail = trail
        self.signer = signer

    async def signed_export(self, question: Question, actor: Actor) -> SignedExport:
        """What was asked for, as one signed document; its canonical JSON is what the signature is over."""
        lines, capped = await self.trail.export(question, actor)
        export = Export(
            question=question, exported_by=actor.name, exported_at=datetime.now(UTC), lines=tuple(lines), capped=capped
        )
        message = canonical(export)
        return SignedExport(
            export=export,
            sha256=digest(message),
            public_key=self.signer.public_key,
            signature=self.signer.sign(message),
        )

    async def csv_export(self, question: Question, actor: Actor) -> str:
        """The same entries as a table for spreadsheets; without a signature, and it says so in its name only."""
        lines, _ = await self.trail.export(question, actor)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        writer.writerows(_cells(line) for line in lines)
        return text.getvalue()


def _cells(line: LedgerLine) -> list[str]:
    fields = {**line.model_dump(mode="json"), "body": json.dumps(line.body, ensure_ascii=False, sort_keys=True)}
    return [csv_safe(str(fields[name])) for name in COLUMNS]
