"""The topics exist before anybody writes or reads."""

import logging
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from connectors.kafka.messages import MAX_MESSAGE_BYTES
from workflows.domain.errors import Unavailable
from workflows.domain.events import Topic
from workflows.domain.failpoints import Effect

_log = logging.getLogger(__name__)

ALL_TOPICS = tuple(topic.value for topic in Topic)
EVENT_TOPICS = tuple(topic.value for topic in Topic if topic is not Topic.DEAD_LETTERS)
"""What intake reads."""
PARTITIONS = 6
"""Of a topic that is made here: two, three or six processes share them evenly."""


def ensure_topics(
    bootstrap: str,
    partitions: int = PARTITIONS,
    *,
    replication: int = 1,
    topics: Sequence[str] = ALL_TOPICS,
    timeout_s: float = 15.0,
) -> None:
    """Create the topics that do not exist; existing ones stay as they are.

    Raises:
        Unavailable: the broker did not answer or would not create them.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=_log)
    wanted = [
        NewTopic(
            topic,
            num_partitions=partitions,
            replication_factor=replication,
            config={"max.message.bytes": str(MAX_MESSAGE_BYTES)} if topic == Topic.DEAD_LETTERS else {},
        )
        for topic in topics
    ]
    with Effect("topics.create"):
        for topic, created in admin.create_topics(wanted, request_timeout=timeout_s).items():
            try:
                created.result(timeout_s)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise Unavailable(f"topic {topic} could not be created: {error.args[0].str()}") from error
            except TimeoutError:
                raise Unavailable(f"topic {topic} could not be created within {timeout_s:g} s") from None
