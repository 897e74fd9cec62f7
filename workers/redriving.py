"""Sends a dead letter to its topic again: the one path of command line, console and REST."""

from connectors.kafka.producer import EventProducer
from connectors.postgres.dead_letters import DeadLetters
from connectors.postgres.pool import connect
from workers.settings import Settings
from workflows.domain.errors import InvalidInput


def send_again(settings: Settings, number: int, mended: bytes | None, *, by: str) -> str:
    """Publish the letter, mended if need be, and note it on the record; its topic. The inbox still knows its event id.

    Raises:
        NotFound: there is no such letter.
        InvalidInput: no broker is configured.
        Unavailable: the broker did not acknowledge it; sending it once more is harmless.
    """
    if settings.kafka_bootstrap is None or settings.postgres_dsn is None:
        raise InvalidInput("QM_KAFKA_BOOTSTRAP and QM_POSTGRES_DSN must be set to send a dead letter again")
    with connect(settings.postgres_dsn, name="quartermaster-redrive") as connection:
        kept = DeadLetters(connection)
        letter = kept.find(number)
        headers = {"x-redrive-of": str(number)} | ({"traceparent": letter.traceparent} if letter.traceparent else {})
        key = letter.message_key.encode() if letter.message_key else None
        producer = EventProducer(settings.kafka_bootstrap, delivery_timeout_s=10.0)
        producer.publish_raw(letter.topic, key, letter.payload if mended is None else mended, headers)
        producer.close()
        kept.redriven(number, actor=by, mended=mended is not None)
    return letter.topic
