"""A group's partitions are shared out by the protocol that was asked for, or somebody is told why they cannot be."""

import logging
import time
from enum import StrEnum

from confluent_kafka import ConsumerGroupType, KafkaException, libversion
from confluent_kafka.admin import AdminClient

from workflows.domain.errors import Audience, QuartermasterError, Unavailable

_log = logging.getLogger(__name__)

JOINED_WITHIN_S = 30.0
"""Without partitions for so long, the broker is asked whether we are in the group at all; a busy one may take long."""
_LIBRARY = 0x020F0000
"""librdkafka 2.15: earlier ones stood still for minutes at times under the new protocol."""

_NEEDED = (
    "`consumer` needs Apache Kafka 4.0 or newer, with it in its group.coordinator.rebalance.protocols. "
    "QM_KAFKA_GROUP_PROTOCOL=classic works everywhere"
)


class GroupProtocol(StrEnum):
    """How the readers of a group share partitions out."""

    CLASSIC = "classic"
    """One of them does it for all, cooperatively; every broker has it."""
    CONSUMER = "consumer"
    """The broker does it (KIP-848); Apache Kafka from 4.0 on. How soon a dead reader is missed is the broker's setting
    (group.consumer.session.timeout.ms)."""


class ProtocolRefused(QuartermasterError):
    """The group protocol that was asked for is not to be had, from the broker or from the client library."""

    audience = Audience.OPERATOR


class Membership:
    """One reader's part in its group. For the thread that polls.

    No reader has a fixed identity (`group.instance.id`): after a kill -9 the new protocol would keep its successor out
    until the session has timed out.

    Raises:
        ProtocolRefused: the client library is too old.
    """

    def __init__(self, protocol: GroupProtocol, admin: AdminClient, group: str) -> None:
        self._protocol, self._admin, self._group = protocol, admin, group
        self._known = protocol is GroupProtocol.CLASSIC
        """Whether the broker plays along; the classic protocol is every broker's."""
        self._asked = time.monotonic()
        self._warned = False
        if not self._known and libversion()[1] < _LIBRARY:
            raise _refused(f"librdkafka is {libversion()[0]} here, and 2.15 or newer is needed")

    def settings(self, session_timeout_ms: int) -> dict[str, str | int]:
        """What the client library is told; it refuses the classic protocol's settings under the new one."""
        if self._protocol is GroupProtocol.CONSUMER:
            return {"group.protocol": self._protocol.value}
        return {
            "group.protocol": self._protocol.value,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session_timeout_ms,
            "heartbeat.interval.ms": min(3_000, session_timeout_ms // 3),
        }

    def joined(self) -> None:
        """Partitions were assigned."""
        self._known = True

    def gave_up(self, said: str) -> QuartermasterError:
        """The error for a client that gave up for good: a new one helps only if the broker ever played along."""
        if self._known:
            return Unavailable(f"the Kafka client gave up: {said}")
        return _refused(f"the broker says: {said}")

    def look(self, *, idle: bool) -> None:
        """Call it with each poll; `idle`: there are no partitions. To a broker that does not know the new protocol the
        client library tries to talk for ever, and says nothing; nor does it where a group lets nobody in.

        Raises:
            Unavailable: the broker does not have us in the group. It may be slow only, so a new client is worth a try.
        """
        if not idle:
            self._asked, self._warned = time.monotonic(), False
            return
        if time.monotonic() - self._asked < JOINED_WITHIN_S:
            return
        if self._known:
            if not self._warned:
                _log.warning(
                    "no partitions for %g s: group %s has more readers than partitions, or lets nobody in",
                    JOINED_WITHIN_S, self._group,
                )  # fmt: skip
            self._warned = True
            return
        self._asked = time.monotonic()
        try:
            asked = self._admin.describe_consumer_groups([self._group], request_timeout=5.0)
            found = asked[self._group].result(6.0)
        except (KafkaException, TimeoutError):
            return  # it is away or not ready: that says nothing of its protocols
        if found.type is not ConsumerGroupType.CONSUMER or not found.members:
            raise Unavailable(
                f"the broker did not let us into group {self._group} within {JOINED_WITHIN_S:g} s. {_NEEDED}"
            )
        self._known = True


def _refused(why: str) -> ProtocolRefused:
    return ProtocolRefused(f"the group protocol `consumer` is not to be had: {why}. {_NEEDED}")
