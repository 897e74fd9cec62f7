"""How much is played: bounded with the tests, and as much as `nightly` says where the command line names it."""

from hypothesis import HealthCheck, Phase, settings


def bounded(examples: int, *, steps: int = 50) -> settings:
    """So many sequences; with `--hypothesis-profile nightly`, as many as that says."""
    if settings.get_current_profile_name() == "nightly":
        return settings.get_profile("nightly")
    return settings(
        max_examples=examples, stateful_step_count=steps, derandomize=True, deadline=None,
        suppress_health_check=list(HealthCheck), print_blob=True,
    )  # fmt: skip


def hunting(examples: int, *, steps: int = 50) -> settings:
    """For planted bugs: the first sequence that shows it is enough, and need not be the shortest."""
    return settings(
        max_examples=examples, stateful_step_count=steps, derandomize=True, deadline=None, database=None,
        phases=(Phase.generate,), suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
