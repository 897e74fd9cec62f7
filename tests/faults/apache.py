"""A world on Apache Kafka: its log is on disk, so the broker may be killed, started again, cut short and read anew."""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from tests.faults.world import World
from tests.kafka.broker import MISSING, ApacheKafka, KafkaUnusable, command, installed
from workers.processes import SESSION_TIMEOUT_MS
from workers.servers.process import ProcessSpec

ONE_PROTOCOL: Mapping[str, str] = {
    # A member of the other protocol is turned away: what a group's type says, it says of each of its members.
    "group.consumer.migration.policy": "disabled",
    # The broker's to say, under the new protocol; the same as our own processes ask for under the classic one.
    "group.consumer.session.timeout.ms": str(SESSION_TIMEOUT_MS),
}


class KafkaBroker:
    """Apache Kafka as a world starts it: clients are sent to the proxy."""

    def __init__(self, state: Path, advertised: str) -> None:
        if not installed():
            raise KafkaUnusable(MISSING)
        host, port = advertised.rsplit(":", 1)
        self._kafka = ApacheKafka(state / "kafka", advertised=(host, int(port)), overrides=ONE_PROTOCOL)
        self.log_id = uuid.uuid4().hex[:12]

    @property
    def bootstrap(self) -> str:
        """Where it listens itself."""
        return self._kafka.bootstrap

    def spec(self) -> ProcessSpec:
        """How to run it, on a folder that is ready."""
        self._kafka.prepare()
        return ProcessSpec(
            name="broker", argv=command(*self._kafka.arguments), env=dict(os.environ), ports=(self._kafka.port,),
            patience_s=20.0,
        )  # fmt: skip

    def ready(self) -> bool:
        """Whether it serves."""
        return self._kafka.answers()


def kafka_world() -> World:
    """What a cell names that needs a broker whose log outlives it."""
    return World(broker=KafkaBroker)
