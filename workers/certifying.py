"""The notary at work: what was committed gets its leaf, and what it signs never contradicts what it signed before.

The order in a round is what makes a crash harmless: leaves are stored; the anchor gets them, then the signed
checkpoint; then the database gets it, then the notary's own memory. Whatever a crash left out is found in the one
before and is taken over as it stands; nothing is ever signed twice in two ways.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from time import monotonic
from typing import Any

from connectors.anchors import POST_ATTEMPTS, FileAnchor, UrlAnchor
from connectors.notary_folder import NotaryFolder
from connectors.postgres.notary import PostgresNotary
from connectors.signing import verify
from workers.recalling import Recalled, first_key, installation, now, recall
from workers.replacing import finish_rotation, new_key
from workflows.domain.certifying import certified, clock_warning
from workflows.domain.errors import QuartermasterError, Unavailable
from workflows.domain.identity import Digest
from workflows.domain.notary import (
    Checkpoint,
    InstalledKey,
    NotaryRefuses,
    SignedCheckpoint,
    State,
    read_note,
)
from workflows.domain.tree import Frontier, Place, entry_leaf, fold_roots, places, root_over

log = logging.getLogger(__name__)

ANCHOR_BATCH = 5_000
ROUND_WITHIN_S = 60.0


class Notary:
    """One notary, in one thread. `hurry` makes the round in hand sign what it has; who is `leaving` tries URLs once."""

    def __init__(
        self, opened: Callable[[], PostgresNotary], folder: NotaryFolder, anchor: FileAnchor, url: UrlAnchor | None, *,
        clock: Callable[[], datetime] = now, reached: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.hurry, self.leaving = threading.Event(), False
        self._opened, self._folder, self._anchor, self._url = opened, folder, anchor, url
        self._clock, self._reached = clock, reached
        self._at: Recalled | None = None
        self._posted = 0

    def round(self, within_s: float = ROUND_WITHIN_S) -> SignedCheckpoint:
        """Certify what waits (as much as fits into the time), sign a checkpoint over it, and tell everybody.

        Raises:
            NotaryRefuses: nothing is signed; the alarm is where operators look.
            NotaryRuns: another notary works on this database.
            Unavailable: the database or the anchor did not answer; the next round goes on.
        """
        until = monotonic() + within_s
        try:
            at = self._recalled()
            self._check(at)
            self._certify(at, until)
            return self._sign(at)
        except QuartermasterError as error:
            if self._at is not None:
                self._alarm(self._at.store, error)
            self.close()
            raise
        except BaseException:
            self.close()
            raise

    def replace_key(self, actor: str, reason: str, *, accepting: bool = False) -> InstalledKey:
        """Sign with a new key from the next checkpoint on; with `accepting`, begin a log with what is still there.

        Raises:
            NotaryRefuses, NotaryRuns, Unavailable: as in a round.
            InvalidInput: a loss is to be accepted, and nothing is missing.
        """
        try:
            at = self._recalled(accepting=accepting)
            if not accepting:
                self._check(at)
            signer, key = new_key(at, actor=actor, reason=reason, time=self._clock(), accepting=accepting)
            self._folder.keep_rotation(signer, key)
            self._reached("rotation begun")
            finish_rotation(self._folder, self._anchor, at.store, signer, key, reached=self._reached)
            return key
        finally:
            self.close()

    def close(self) -> None:
        """Let the database go; the next round opens it again, and trusts nothing that it remembers."""
        at, self._at = self._at, None
        if at is not None:
            at.store.close()

    def _certify(self, at: Recalled, until: float) -> None:
        """Give every committed entry its leaf. Stops between two batches when the time is over."""
        oldest, _ = at.store.horizon()
        # A counter that went back: the database was moved. Nothing is known of its transactions.
        written_from = at.horizon if oldest >= at.horizon else 0
        with closing(at.store.without_leaf(written_from)) as waiting:
            for keys in waiting:
                entries = certified(at.store.load(keys), len(keys))
                nodes: dict[Place, bytes] = {}
                frontier = at.frontier.copy()
                for entry in entries:
                    frontier.append(entry_leaf(entry.hash), nodes.__setitem__)
                at.store.append(at.frontier.size, entries, nodes)
                at.frontier = frontier
                self._reached("leaves stored")
                if self.hurry.is_set() or monotonic() > until:
                    return
        at.horizon = oldest

    def _recalled(self, *, accepting: bool = False) -> Recalled:
        if self._at is not None:
            return self._at
        store = self._opened()
        try:
            store.lock()
            standing = self._anchor.standing()
            pending = self._folder.rotation()
            signer = self._folder.key() or (pending[0] if pending else first_key(self._folder, store, standing))
            self._reached("key kept")
            if pending is not None:
                finish_rotation(self._folder, self._anchor, store, *pending, reached=self._reached)
                signer = pending[0]
                standing = self._anchor.standing()
            elif not store.keys() and self._folder.state() is None and not standing.notes:
                key, entry = installation(signer, self._clock())
                self._anchor.append([key.line()], key.installed_at.date())
                self._reached("key anchored")
                store.install(key, entry)
                self._reached("key stored")
            self._at = recall(store, self._folder, standing, signer, accepting=accepting)
            if not accepting:
                self._anchor_past(self._at, standing.notes, empty=standing.empty)
        except QuartermasterError as error:
            self._alarm(store, error)
            self._at = None
            store.close()
            raise
        except BaseException:
            self._at = None
            store.close()
            raise
        return self._at

    def _anchor_past(self, at: Recalled, notes: Sequence[str], *, empty: bool) -> None:
        """Give an anchor that is behind, or new, everything that it does not have."""
        if at.last is None or (notes and notes[-1] == at.last.note):
            return
        day, has = self._clock().date(), set(notes)
        since = read_note(notes[-1]).checkpoint.time if notes else None
        first = max([one.first_checkpoint for one in at.keys if one.begins_a_log()], default=1)
        if empty:
            log.warning("the anchor %s is empty: what it says of the past rests on the database", self._anchor.folder)
            self._anchor.append([key.line() for key in at.keys], day)
        self._anchor_leaves(at, at.last.size)
        stored = at.store.notes(0 if empty else first - 1)
        behind = (one for one in stored if (since is None or one.signed_at >= since) and one.note not in has)
        self._anchor.append(({"checkpoint": one.note} for one in behind), day)

    def _anchor_leaves(self, at: Recalled, size: int) -> None:
        def lines() -> Iterator[dict[str, Any]]:
            for first in range(at.anchored, size, ANCHOR_BATCH):
                end = min(first + ANCHOR_BATCH, size)
                leaves = at.store.leaves(first, end)
                if len(leaves) != end - first:
                    there = {leaf.index for leaf in leaves}
                    gone = next(index for index in range(first, end) if index not in there)
                    raise NotaryRefuses("broken", f"the entry of leaf {gone} was changed after it was certified")
                yield from (leaf.line() for leaf in leaves)

        if size > at.anchored:
            self._anchor.append(lines(), self._clock().date())
            at.anchored = size

    def _check(self, at: Recalled) -> None:
        """Before anything is signed: the checkpoint before, and all leaves, are as this notary left them."""
        if (found := at.store.size()) != at.frontier.size:
            raise NotaryRefuses("fork", f"the database has {found} leaves, and this notary made {at.frontier.size}")
        last = at.store.latest()
        if last != at.last:
            raise NotaryRefuses("fork", "the newest checkpoint in the database is not the one that this notary signed")
        sizes = {at.frontier.size: at.frontier.root()}
        if last is not None:
            note, key = read_note(last.note), at.key(last.key_id)
            if key is None or not note.signed_by(key, verify) or note.checkpoint.root != last.root:
                raise NotaryRefuses("fork", f"the signature of checkpoint {last.number} does not hold any more")
            if note.checkpoint.origin != at.signer.key.name:
                last = None  # of the log before an accepted loss
            elif fold_roots([bytes.fromhex(root) for root in last.frontier]).hex() != last.root:
                raise NotaryRefuses("fork", f"the frontier of checkpoint {last.number} is not that of its root")
            else:
                sizes[last.size] = bytes.fromhex(last.root)
        if at.state is not None:
            sizes.setdefault(at.state.size, bytes.fromhex(at.state.root))
        for size, root in sizes.items():
            kept = at.store.kept(places([(0, size)]))
            try:
                found_root = root_over((0, size), kept)
            except KeyError:
                raise NotaryRefuses("fork", f"leaves of the first {size} are missing from the database") from None
            if found_root != root:
                raise NotaryRefuses("fork", f"the first {size} leaves are not those that were signed")

    def _sign(self, at: Recalled) -> SignedCheckpoint:
        last, moment = at.last, self._clock()
        _, ledger_time = at.store.horizon()
        wrong = clock_warning(moment, ledger_time, last)
        warnings = {"clock": wrong} if wrong else {}
        signer, frontier = at.signer, at.frontier
        checkpoint = Checkpoint(
            origin=signer.key.name, size=frontier.size, root=frontier.root().hex(),
            time=max(moment, last.signed_at) if last else moment, ledger_time=ledger_time,
        )  # fmt: skip
        signed = SignedCheckpoint(
            number=last.number + 1 if last else 1, size=checkpoint.size, root=checkpoint.root,
            signed_at=checkpoint.time, key_id=signer.key.key_id, note=signer.note(checkpoint),
            frontier=_hexes(frontier), horizon=at.horizon,
        )  # fmt: skip
        self._anchor_leaves(at, frontier.size)
        self._reached("leaves anchored")
        self._anchor.append([{"checkpoint": signed.note}], moment.date())
        self._reached("checkpoint anchored")
        at.store.insert(signed)
        at.last = signed
        self._reached("checkpoint stored")
        self._remember(at, signed)
        self._reached("memory kept")
        if (failed := self._post(at, signed)) is not None:
            warnings["anchor_url"] = failed
        at.store.end_alarms(tuple(warnings))
        for kind, words in warnings.items():
            log.error("%s", words)
            at.store.alarm(kind, words)
        return signed

    def _remember(self, at: Recalled, signed: SignedCheckpoint) -> None:
        posted = max(self._posted, at.state.posted if at.state else 0)
        at.state = State(
            origin=at.signer.key.name, number=signed.number, size=signed.size, root=signed.root, note=signed.note,
            posted=posted,
        )  # fmt: skip
        self._folder.keep_state(at.state)

    def _post(self, at: Recalled, signed: SignedCheckpoint) -> str | None:
        """Tell the URL; its failure is said and holds nothing up."""
        if self._url is None:
            return None
        try:
            self._url.post(signed.note, attempts=1 if self.leaving or self.hurry.is_set() else POST_ATTEMPTS)
        except Unavailable as error:
            return f"{error}; the newest checkpoint that it took is {self._posted or 'unknown'}"
        self._posted = signed.number
        self._remember(at, signed)
        return None

    def _alarm(self, store: PostgresNotary, error: QuartermasterError) -> None:
        kind = error.kind if isinstance(error, NotaryRefuses) else "unavailable"
        log.error("the notary signs nothing (%s): %s", kind, error)
        try:
            store.alarm(kind, str(error))
        except Unavailable as outage:
            log.debug("the alarm is in this log only: %s", outage)


def _hexes(frontier: Frontier) -> tuple[Digest, ...]:
    return tuple(root.hex() for root in frontier.roots)
