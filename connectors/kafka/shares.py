"""A share is a fixed part of every topic's partitions: who holds which is known before anybody asks the broker."""

import re
from collections.abc import Sequence
from typing import NamedTuple, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors.kafka.messages import Place
from workflows.domain.errors import InvalidInput, Unavailable


class Share(NamedTuple):
    """The `number`-th (from 1) of `shares`. Processes with all the numbers read everything, each partition once.

    Two with the same number do no harm: the database's positions have one owner, and the other is fenced off.
    """

    number: int
    shares: int

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `2/3`.

        Raises:
            InvalidInput: it is not spelled like that, or there is no such share.
        """
        found = re.fullmatch(r"(\d{1,3})/(\d{1,3})", text, re.ASCII)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise InvalidInput(f"{text!r} is no share; the second of three is 2/3")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.shares}"


def places_of(share: Share, admin: AdminClient, topics: Sequence[str], timeout_s: float = 10.0) -> list[Place]:
    """The partitions in this share; partitions of one number lie in one share, whatever their topic.

    Raises:
        Unavailable: the broker did not say which partitions there are, or a topic is missing.
    """
    try:
        known = admin.list_topics(timeout=timeout_s).topics
    except KafkaException as error:
        raise Unavailable(f"the broker did not say which partitions there are: {error.args[0].str()}") from error
    if missing := [topic for topic in topics if topic not in known or known[topic].error is not None]:
        raise Unavailable(f"topic {missing[0]} is not there")
    return [
        (topic, partition)
        for topic in topics
        for partition in sorted(known[topic].partitions)
        if partition % share.shares == share.number - 1
    ]
