"""Never two orders for one key, at a supplier of any level, whatever is lost, late, killed, stopped or said."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.model.ordering import Rules
from tests.model.planted import DRAFTS, L2, PLANTED
from tests.model.profiles import bounded, hunting
from tests.model.sending_machine import Sending


@pytest.mark.timeout(6 * 3600)
def test_never_two_orders_for_one_key() -> None:
    run_state_machine_as_test(Sending, settings=bounded(300))


def test_a_unique_key_or_a_draft_holds_even_a_process_that_was_frozen_for_hours() -> None:
    """On the other levels it must not send once its time is over: that is among the planted bugs."""
    frozen = type("Frozen", (Sending,), {"law": Rules(sends_at_once=False), "manifests": (L2, DRAFTS)})
    run_state_machine_as_test(frozen, settings=bounded(100))


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str) -> None:
    planted = PLANTED[name]
    with pytest.raises(AssertionError, match=planted.noticed):
        run_state_machine_as_test(planted.machine(), settings=hunting(10_000))
