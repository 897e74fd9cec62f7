"""Answers what-ifs: facts from PostgreSQL, the replay in a thread of its own, one at a time; nothing is stored."""

import asyncio

from workflows.domain.what_if import Answer, Question, Stretches, Watch, WhatIf


class LiveWhatIf(WhatIf):
    """The `WhatIf` port of console, REST and command line."""

    def __init__(self, stretches: Stretches, *, threads: int = 1, watch: Watch | None = None) -> None:
        self._stretches = stretches
        self._threads = threads
        self._watch = watch
        self._one_at_a_time = asyncio.Lock()

    async def ask(self, question: Question) -> Answer:
        """See the port. Whoever asks while another question is replayed waits for it: the machine has other work."""
        stretch = await self._stretches.newest(question.scope, question.weeks)

        def replayed() -> Answer:
            # The numeric libraries take seconds to load: only a process that is asked does it.
            from activities.learning.what_if import play

            return play(stretch, question, nthread=self._threads, watch=self._watch)

        async with self._one_at_a_time:
            return await asyncio.to_thread(replayed)
