"""The pages that one can go to from every page, grouped so that many stay calm, each with who may see it."""

from collections.abc import Sequence
from typing import NamedTuple

from workflows.domain.people import Permission, Person


class Place(NamedTuple):
    """One page of the navigation. Paths that begin with one of `owns` belong to it too."""

    path: str
    name: str
    permission: Permission = Permission.SEE
    owns: tuple[str, ...] = ()
    group: str = ""
    """The menu that it is in, one of `GROUPS`; empty: it stands in the bar itself."""
    key: str = ""
    """The letter that goes there after `g`; shown in the palette."""


GROUPS = ("Stock", "Orders", "Results", "Control", "System")
"""The menus, in the order in which people need them."""

PLACES: tuple[Place, ...] = (
    Place("/inbox", "Inbox", owns=("/tasks", "/decisions"), key="i"),
    Place("/", "Home", owns=("/definitions",), key="o"),
    Place("/inventory", "Inventory", group="Stock", key="n"),
    Place("/demand", "Demand", group="Stock"),
    Place("/sales", "Sales", group="Stock"),
    Place("/orders", "Purchase orders", group="Orders"),
    Place("/deliveries", "Deliveries", group="Orders"),
    Place("/reconciliation", "Reconciliation", group="Orders"),
    Place("/money", "Money", group="Results"),
    Place("/what-if", "What if?", group="Results"),
    Place("/models", "Models", group="Results"),
    Place("/policies", "Policy", group="Control"),
    Place("/files", "Files", group="Control"),
    Place("/health", "Health", group="System", key="h"),
    Place("/live", "Live", group="System"),
    Place("/dead-letters", "Dead letters", group="System"),
    Place("/access-review", "Access review", Permission.AUDIT, group="Control"),
    Place("/people", "People", Permission.MANAGE_PEOPLE, group="System"),
    Place("/docs/api", "API", group="System"),
)


class Menu(NamedTuple):
    """A group of places under one word."""

    name: str
    places: Sequence[Place]


def places_for(person: Person) -> list[Place]:
    """The pages that this person may see, in the order of the bar and its menus."""
    order = ("", *GROUPS)
    seen = [place for place in PLACES if person.may(place.permission)]
    return sorted(seen, key=lambda place: order.index(place.group))


def menus_for(person: Person) -> list[Menu]:
    """The bar: the menu without a name comes first, and its places stand in the bar itself."""
    seen = places_for(person)
    menus = [Menu(name, [place for place in seen if place.group == name]) for name in ("", *GROUPS)]
    return [menu for menu in menus if menu.places]


def is_here(place: Place, path: str) -> bool:
    """Whether the page at this path belongs to the place."""
    return any(path == base or (base != "/" and path.startswith(base + "/")) for base in (place.path, *place.owns))
