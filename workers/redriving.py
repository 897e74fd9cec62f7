"""Sends what two people agreed on to its topic again: the one path of command line, console and REST."""

from connectors.kafka.producer import EventProducer
from connectors.postgres.redrives import Confirmed


def send_again(bootstrap: str, confirmed: Confirmed) -> None:
    """Publish exactly these bytes as the letter came: its topic, key and trace. The inbox still knows its event id.

    Raises:
        Unavailable: the broker did not acknowledge it; sending it once more is harmless.
    """
    headers = {"x-redrive-of": str(confirmed.redrive.dead_letter_id)}
    if confirmed.traceparent:
        headers["traceparent"] = confirmed.traceparent
    producer = EventProducer(bootstrap, delivery_timeout_s=10.0)
    producer.publish_raw(
        confirmed.topic, confirmed.message_key.encode() if confirmed.message_key else None, confirmed.payload, headers
    )
    producer.close()
