"""What an identity provider's claims mean here: roles by a mapping, and where wanted locations and an amount."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError

from workflows.domain.errors import InvalidInput
from workflows.domain.names import tidy_name
from workflows.domain.people import Identity, Role
from workflows.domain.sessions import Refused

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f/]+")


@dataclass(frozen=True)
class Claims:
    """Which claims are read. None: that is kept here, and an admin sets it."""

    roles: str | None
    mapping: Mapping[str, frozenset[Role]]
    """What the claim says -> the roles that it gives."""
    locations: str | None = None
    approval_limit: str | None = None

    def missing(self, claims: Mapping[str, Any]) -> bool:
        """Whether a claim that is wanted is not there, so that the provider should be asked once more."""
        wanted = (self.roles, self.locations, self.approval_limit)
        named = any(claims.get(name) for name in ("preferred_username", "name", "email"))
        return not named or any(name is not None and name not in claims for name in wanted)


def role_mapping(text: str) -> dict[str, frozenset[Role]]:
    """`planner=QM-Planners,approver=QM-Heads` as what a claim says -> the roles that it gives.

    Raises:
        InvalidInput: a part is not `role=value`, or the role is unknown.
    """
    found: dict[str, frozenset[Role]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        role, equals, said = (piece.strip() for piece in part.partition("="))
        if not equals or not said or role not in set(Role):
            known = ", ".join(Role)
            raise InvalidInput(f"QM_OIDC_ROLES: {part!r} is not role=what the claim says; roles are {known}")
        found[said] = found.get(said, frozenset()) | {Role(role)}
    return found


def identity_of(issuer: str, claims: Mapping[str, Any], wanted: Claims) -> Identity:
    """Who the claims are about.

    Raises:
        Refused: a claim says what cannot be, which the provider's administrator has to mend.
    """
    subject = f"{issuer}#{claims['sub']}"
    called = next((claims[name] for name in ("preferred_username", "name", "email") if claims.get(name)), claims["sub"])
    name = tidy_name(UNPRINTABLE.sub(" ", str(called)))[:100].strip()
    try:
        return Identity(
            subject=subject,
            name=name or "somebody",
            email=_text(claims.get("email")) if claims.get("email_verified", True) is True else "",
            roles=_roles(claims, wanted),
            locations=None if wanted.locations is None else frozenset(_several(claims.get(wanted.locations))),
            approval_limit=_limit(claims, wanted.approval_limit),
        )
    except ValidationError as error:
        fields = ", ".join(sorted({str(one["loc"][0]) for one in error.errors()}))
        raise Refused(f"The identity provider says what cannot be about: {fields}.") from error


def _roles(claims: Mapping[str, Any], wanted: Claims) -> frozenset[Role] | None:
    if wanted.roles is None:
        return None
    said = _several(claims.get(wanted.roles), blanks=False)
    return frozenset().union(*(wanted.mapping.get(one, frozenset()) for one in said))


def _limit(claims: Mapping[str, Any], name: str | None) -> Decimal | None:
    """Somebody of whom the claim says nothing approves nothing alone: a limit that is forgotten must not be none."""
    if name is None:
        return None
    said = claims.get(name)
    try:
        value = Decimal(str(said)) if said is not None and not isinstance(said, bool) else Decimal(0)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or not 0 <= value < Decimal(10) ** 12:
        raise Refused("The identity provider's approval limit is no amount.")
    return value


def _several(value: object, *, blanks: bool = True) -> list[str]:
    """A list of texts, however the provider writes one."""
    if isinstance(value, list):
        return [str(one) for one in value]
    if not isinstance(value, str):
        return []
    return re.split(r"[,\s]+", value.strip()) if blanks and value.strip() else [value] if value else []


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= 200 else ""
