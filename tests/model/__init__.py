"""Model checking: the domain's real rules in worlds that Hypothesis makes up, held to the engine's invariants.

What a pure world can show: I1, I2, I3, I4, I7, I8 and I10 of the rules themselves, each transaction being atomic as
PostgreSQL makes it. I5 and I9 are about bytes in tables and I6 about recorded histories: only real processes show
those, in `tests/faults`, `tests/replay` and the tests of the ledger.

More than the tests play, 10^5 sequences of each:
`pytest tests/model --hypothesis-profile nightly`. Failing sequences are kept in `.hypothesis`.
"""
