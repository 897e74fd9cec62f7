"""The fourteen known mistakes that a harness worth its name finds, each as the smallest change of today's product.

Where several defences of ours stand in the way, a bug takes exactly those out, and `defence` says which they are: any
one of them that is left would keep the bug from doing harm. Its cells are those that must find it, the quickest first;
numbers above 100 are in `tests/faults/lures.py`.
"""

from dataclasses import dataclass

Change = tuple[str, str, str]
"""File in the checkout, the text that is there once, and what is there instead."""


@dataclass(frozen=True)
class Bug:
    """One known mistake."""

    number: int
    name: str
    defence: str
    """What keeps it from doing harm in the product as it is, and is taken out with it."""
    changes: tuple[Change, ...]
    cells: tuple[int, ...]


_INBOX, _BATCHES = "connectors/postgres/inbox.py", "connectors/postgres/batches.py"
_CONSUMER, _POOL = "connectors/kafka/consumer.py", "connectors/postgres/pool.py"
_SENDING, _APPROVALS = "activities/sending.py", "connectors/postgres/approvals.py"
_RELEASING = "connectors/postgres/releasing.py"
_GATE = "deploy/migrations/0016.signatures.sql"

BUGS = (
    Bug(
        1, "no inbox: events have no identity, and the broker keeps the position",
        "the look for known events, the inbox's primary key, and the position in the events' own transaction",
        (
            (_BATCHES, "AND i.event_id = k.event_id\n", "AND i.event_id = k.event_id AND false\n"),
            (
                "deploy/migrations/0002.intake.sql",
                ",\n    PRIMARY KEY (source, event_id)\n);\nCREATE INDEX inbox_by_acceptance",
                "\n);\nCREATE INDEX inbox_by_acceptance",
            ),
            (_INBOX, 'found[topic, partition] = row["next_offset"]', "found[topic, partition] = -1000"),
            (_CONSUMER, '"auto.offset.reset": "error"', '"auto.offset.reset": "earliest"'),
        ),
        (9,),
    ),
    Bug(
        2, "the workflow's run in the idempotency key",
        "the key is of the order's business identity alone",
        ((
            _SENDING,
            "        now = self._attempt.as_of + timedelta(seconds=monotonic() - self._began)\n",
            "        import hashlib\n\n"
            "        run = self._lease.split('/')[0]\n"
            "        key = hashlib.sha256(f'{leaving.key}{run}'.encode()).hexdigest()\n"
            "        leaving = leaving.model_copy(update={'key': key})\n"
            "        now = self._attempt.as_of + timedelta(seconds=monotonic() - self._began)\n",
        ),),
        (26, 30),
    ),
    Bug(
        3, "the position is stored before the events are",
        "position and events are of one transaction",
        ((
            _INBOX,
            '        with transaction(self._connection, "inbox.accept") as cursor:\n'
            "            self._move_positions(cursor, batch)\n",
            '        with transaction(self._connection, "inbox.move") as cursor:\n'
            "            self._move_positions(cursor, batch)\n"
            '        with transaction(self._connection, "inbox.accept") as cursor:\n',
        ),),
        (2, 8),
    ),
    Bug(
        4, "no settle window",
        "absent counts only after the longest transaction of the supplier and our own patience",
        ((
            "workflows/domain/capabilities.py",
            "        return self.longest_transaction_s + self.http_timeout_s\n",
            "        return 0.0\n",
        ),),
        (27,),
    ),
    Bug(
        5, "only the workflow checks approvals",
        "the release and the send gate in the database look for the approval again; they do in vain here",
        (
            (
                _RELEASING,
                'if row["tier"] != "auto" and approval is None:',
                'if row["tier"] == "blocked" and approval is None:',
            ),
            (
                _GATE,
                "WHEN a.approval_id IS NULL THEN 'no standing approval for this proposal'",
                "WHEN a.approval_id IS NULL THEN NULL",
            ),
        ),
        (105, 24),
    ),
    Bug(
        6, "synchronous_commit = off",
        "each process refuses to start on a session that may lose what was acknowledged",
        (
            (_POOL, '"-c timezone=UTC"', '"-c timezone=UTC -c synchronous_commit=off"'),
            (_POOL, ', "synchronous_commit": {"off", "local", "remote_write"}', ""),
        ),
        (106,),
    ),
    Bug(
        7, "a workflow is told of an answer by a signal that nobody acknowledges",
        "an update says whether the answer counted, and until it did the relay tells it again",
        (
            (
                "workers/temporal.py",
                "                return await handle.execute_update(\n"
                "                    ReplenishmentWorkflow.submit_verdict, notice, id=notice.approval_id,",
                "                return not await handle.signal(\n"
                "                    ReplenishmentWorkflow.verdict_recorded, notice,",
            ),
            (
                "workers/temporal.py",
                '            log.info("verdict %s was not heard yet: %s", notice.approval_id, type(error).__name__)\n'
                "            return False\n",
                '            log.info("verdict %s was not heard yet: %s", notice.approval_id, type(error).__name__)\n'
                "            return True\n",
            ),
        ),
        (107,),
    ),
    Bug(
        8, "a task that nobody answers approves itself",
        "a clock expires and never approves; and in the database the worker's role cannot store any other answer",
        (
            (
                _APPROVALS,
                "VALUES (%s, %s, %s, %s, 'expire', 'clock', 'clock', '', clock_timestamp())",
                "VALUES (%s, %s, %s, %s, 'approve', 'clock', 'clock', '', clock_timestamp())",
            ),
            (
                _APPROVALS,
                'TaskState.EXPIRED, "clock")\n            await close(cursor,',
                'TaskState.APPROVED, "clock")\n            return TaskState.APPROVED\n            await close(cursor,',
            ),
            ("deploy/migrations/0049.authors.sql", "IF NEW.meaning <> 'expire' AND", "IF false AND"),
        ),
        (108, 17),
    ),
    Bug(
        9, "a float in the body of a ledger entry",
        "an entry refuses to be made of one",
        (
            (
                "workflows/domain/recordable.py",
                "    if value is None or kind is bool:\n",
                "    if value is None or kind is bool or kind is float:\n",
            ),
            (
                "connectors/postgres/authorising.py",
                '"key": payload.key, "lines_digest"',
                '"key": payload.key, "prices": [float(line.unit_cost) for line in lines], "lines_digest"',
            ),
        ),
        (26,),
    ),
    Bug(
        10, "the notary goes on from the newest transaction that it saw",
        "it goes on from the oldest one that was still open",
        (("connectors/postgres/notary.py", "pg_snapshot_xmin(", "pg_snapshot_xmax("),),
        (110, 33),
    ),
    Bug(
        11, "a key that the supplier knows is answered by another key",
        "what a supplier says of a key is looked for before anything else leaves",
        ((
            _SENDING,
            "            return Answered(answer=await suppliers.place(leaving))\n",
            "            import hashlib\n\n"
            "            try:\n"
            "                return Answered(answer=await suppliers.place(leaving))\n"
            "            except OrderKeyKnown:\n"
            "                key = hashlib.sha256(leaving.key.encode()).hexdigest()\n"
            "                return Answered(answer=await suppliers.place(leaving.model_copy(update={'key': key})))\n",
        ),),
        (111,),
    ),
    Bug(
        12, "what is unknown counts as failed",
        "only a proven no is one",
        ((_SENDING, "return NoWord(reason=str(unknown) or", "return Refused(reason=str(unknown) or"),),
        (26, 29),
    ),
    Bug(
        13, "a partition of which nothing was accepted yet is read from its end (auto.offset.reset = latest)",
        "positions are ours, and where there is none it is read from its beginning",
        (
            (_CONSUMER, "known.get(place, OFFSET_BEGINNING)", "known.get(place) or -1"),
            (_CONSUMER, '"auto.offset.reset": "error"', '"auto.offset.reset": "latest"'),
        ),
        (2,),
    ),
    Bug(
        14, "an approval counts for whatever the proposal is by now",
        "what was read is compared where an answer is stored, in the workflow, at the release, twice in the send gate",
        (
            (
                _APPROVALS,
                'if task["proposal_hash"] != command.proposal_hash:',
                'if task["state"] != "open":',
            ),
            (
                "workflows/replenishment.py",
                "return self._knows_revision and notice.proposal_hash != self._ref.proposal_hash",
                "return False",
            ),
            (_RELEASING, 'if row["proposal_hash"] != proposal_hash:', 'if row["proposal_hash"] is None:'),
            (
                _RELEASING,
                "WHERE decision_id = %s AND proposal_hash = %s AND voided_at IS NULL",
                "WHERE decision_id = %s AND %s <> '' AND voided_at IS NULL",
            ),
            (_GATE, "AND a.proposal_hash = l.proposal_hash AND a.complete", "AND a.complete"),
            (_GATE, "AND a.proposal_hash = r.proposal_hash AND a.complete", "AND a.complete"),
        ),
        (114, 23),
    ),
)  # fmt: skip
