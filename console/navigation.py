"""The pages that one can go to from every page, in the order in which people need them, each with who may see it."""

from typing import NamedTuple

from workflows.domain.people import Permission, Person


class Place(NamedTuple):
    """One page of the navigation. Paths that begin with one of `owns` belong to it too."""

    path: str
    name: str
    permission: Permission = Permission.SEE
    owns: tuple[str, ...] = ()


PLACES: tuple[Place, ...] = (
    Place("/inbox", "Inbox", owns=("/tasks", "/decisions")),
    Place("/orders", "Orders"),
    Place("/deliveries", "Deliveries"),
    Place("/dead-letters", "Dead letters"),
    Place("/models", "Models"),
    Place("/policies", "Policy"),
    Place("/docs/api", "API"),
)


def places_for(person: Person) -> list[Place]:
    """The pages that this person may see."""
    return [place for place in PLACES if person.may(place.permission)]


def is_here(place: Place, path: str) -> bool:
    """Whether the page at this path belongs to the place."""
    return path.startswith((place.path, *place.owns))
