"""Asks what recorded decisions would have been: batch by batch, in a thread, with nothing written anywhere."""

from collections.abc import Callable, Iterable

from workflows.domain.counterfactual import Compared, Counterfactual, Other, Recordings, Unread, Which
from workflows.domain.redeciding import Bodies, redecide
from workflows.domain.scores import Scoring
from workflows.domain.tallying import Tallying

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much is done and how much there is."""
Told = Callable[[Iterable[Compared], Iterable[Unread]], None]
"""Given each batch's comparisons, and what of it cannot be compared."""


class Counterfactuals:
    """Makes recorded decisions again. `bodies` gives models' bytes by digest."""

    def __init__(self, recordings: Recordings, scoring: Scoring, bodies: Bodies) -> None:
        self._recordings = recordings
        self._scoring = scoring
        self._bodies = bodies

    def ask(
        self, which: Which, other: Other, *, progress: Progress | None = None, told: Told | None = None
    ) -> Counterfactual:
        """The answer. It blocks: seconds for hundreds of decisions, and memory for one batch whatever is asked.

        Raises:
            NotFound: nothing is recorded under the id that was asked about.
            ModelUnusable: the model cannot be read here.
        """
        tally, total, done = Tallying(which, other), self._recordings.count(which), 0
        for batch in self._recordings.read(which):
            compared, unread = redecide(batch.read, other, self._bodies, self._scoring)
            gaps = [*(one for one in batch.unread if one.asked), *unread]
            tally.add(compared, gaps)
            if told:
                told(compared, gaps)
            done += batch.entries
            if progress:
                progress("decisions made again", min(done, total), total)
        return tally.result()
