"""Words for what a check of the whole record found."""

from collections.abc import Iterator

from workflows.domain.ledger import Verification


def verified_words(found: Verification) -> Iterator[str]:
    """Line by line; the breaks themselves come after."""
    yield f"{found.entries:,} entries in {found.streams:,} chains: " + ("whole" if found.ok else "BROKEN")
    if found.checkpoints:
        yield f"{found.leaves:,} of them in the notary's tree, under {found.checkpoints:,} signed checkpoints"
    else:
        yield "No checkpoint was signed: nothing proves yet that all of it was not written anew"
    if found.unsealed:
        age = "" if found.oldest_unsealed_s is None else f", the oldest for {found.oldest_unsealed_s:.0f} s"
        yield f"{found.unsealed:,} entries wait for the notary{age}"
    if found.anchored_leaves is None:
        yield "The anchors cannot be seen from here: that nothing was cut off the end was not checked"
    else:
        yield f"Anchors: {found.anchored_leaves:,} leaves and {found.anchored_checkpoints or 0:,} checkpoints compared"
    for loss in found.losses:
        yield f"LOSS: {loss}"
