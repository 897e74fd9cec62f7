"""A new key follows an old one by a statement that both sign; begun is finished, however often it is interrupted."""

import secrets
from collections.abc import Callable
from datetime import datetime

from connectors.anchors import FileAnchor
from connectors.notary_folder import NotaryFolder
from connectors.postgres.notary import PostgresNotary
from connectors.signing import SEED_BYTES, NoteSigner
from workers.recalling import Recalled, key_entry
from workflows.domain.errors import InvalidInput
from workflows.domain.identity import plain
from workflows.domain.notary import InstalledKey, statement_of


def new_key(
    at: Recalled, *, actor: str, reason: str, time: datetime, accepting: bool = False
) -> tuple[NoteSigner, InstalledKey]:
    """A key for the same log; with `accepting`, for one that begins with what the database still has.

    Raises:
        InvalidInput: a loss is to be accepted, and nothing is missing.
    """
    if accepting and not at.losses:
        raise InvalidInput("nothing that was signed is missing from the database; there is no loss to accept")
    old, last = at.signer, at.last
    name = f"quartermaster/{secrets.token_hex(6)}" if accepting else old.key.name
    new = NoteSigner(name, secrets.token_bytes(SEED_BYTES))
    loss = None
    if accepting:
        kept = min(at.frontier.size, at.anchored)
        loss = {"leaves": kept, "what": at.losses, "signed": plain(at.state) if at.state else None}
    statement = statement_of(
        old.key, new.key, last, actor=actor, reason=reason, time=time, loss=loss
    )  # fmt: skip
    key = InstalledKey(
        key_id=new.key.key_id, verifier_key=new.key.text, first_checkpoint=last.number + 1 if last else 1,
        installed_at=time, statement=statement, old_signature=old.sign(statement), new_signature=new.sign(statement),
    )  # fmt: skip
    return new, key


def finish_rotation(
    folder: NotaryFolder, anchor: FileAnchor, store: PostgresNotary, signer: NoteSigner, key: InstalledKey, *,
    reached: Callable[[str], None] = lambda _: None,
) -> None:  # fmt: skip
    """Tell the anchor and the database of a key that the folder keeps, then sign with it. Safe to repeat."""
    anchor.append([key.line()], key.installed_at.date())
    reached("rotation anchored")
    store.install(key, key_entry(key, key.actor()))
    reached("rotation stored")
    if key.begins_a_log():
        folder.forget_state()
    folder.keep_key(signer)
    reached("rotation kept")
    folder.end_rotation()
