"""How much is played: bounded with the tests, and as much as the profile says that is named on the command line."""

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "nightly", max_examples=100_000, stateful_step_count=80, deadline=None, print_blob=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


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
