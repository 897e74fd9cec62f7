"""Without Apache Kafka its tests skip with the reason, or fail where they must run: they never pass unseen."""

import os
from collections.abc import Mapping

import pytest

from tests.kafka.broker import MISSING, installed


def kafka_or_skip(environ: Mapping[str, str] = os.environ) -> None:
    """Go on where Apache Kafka can be started; elsewhere, the test ends here."""
    if installed(environ):
        return
    if environ.get("KAFKA_TESTS") == "required":
        pytest.fail(f"{MISSING}; and KAFKA_TESTS=required says that these tests must run")
    pytest.skip(MISSING)
