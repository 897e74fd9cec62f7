"""The made-up people of the tests, registered in one place: each may answer and countersign everything."""

from tests.fakes.people import EVERYBODY
from workflows.domain.people import Person, Role

NAMES = (
    "pat", "dana", "somebody else", "Alice Smith", "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7",
    "demo planner", "demo head planner",
)  # fmt: skip
STAFF = (*EVERYBODY, *(Person(name=name, roles=frozenset({Role.PLANNER, Role.APPROVER})) for name in NAMES))
