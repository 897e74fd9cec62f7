"""Picks how people sign in: at the identity provider, or by links, which only an embedded stack of ours can give."""

import os
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from connectors.oidc import LOOPBACK, OidcProvider, Registration
from connectors.oidc_claims import Claims, role_mapping
from connectors.postgres.erasing import PostgresErasing
from connectors.postgres.people import PostgresPeople
from connectors.postgres.pool import Database
from connectors.postgres.roles import as_role
from connectors.postgres.sessions import PostgresSessions
from connectors.postgres.tokens import PostgresTokens
from console.ports import SignIn
from workers.servers.runfile import read_run
from workers.settings import Settings
from workflows.domain.errors import InvalidInput
from workflows.domain.sessions import Lasts

CALLBACK = "/sign-in/callback"
NEEDS = (
    "this installation has servers of its own, so people sign in at an identity provider: set QM_OIDC_ISSUER, "
    "QM_OIDC_CLIENT_ID, QM_OIDC_ROLES and QM_CONSOLE_URL. Sign-in links work only where `quartermaster up` runs the "
    "database itself, the console listens on a loopback address and QM_CONSOLE_URL gives it no other name"
)


def sign_in_of(settings: Settings, database: Database, key: bytes) -> SignIn:
    """How people get in on this installation.

    Raises:
        InvalidInput: there is no safe way; the message says what to set.
    """
    provider = provider_of(settings, key)
    local = provider is None and on_embedded_stack(settings)
    if provider is None and not local:
        raise InvalidInput(NEEDS)
    idle = settings.session_idle_minutes or (480 if local else 15)
    hours = settings.session_hours or (12 if local else 8)
    return SignIn(
        people=PostgresPeople(database),
        sessions=PostgresSessions(database),
        tokens=PostgresTokens(database),
        lasts=Lasts(idle=timedelta(minutes=idle), longest=timedelta(hours=hours)),
        local=local,
        provider=provider,
        erasing=PostgresErasing(database),
        public_url=settings.console_url,
    )


def provider_of(settings: Settings, key: bytes) -> OidcProvider | None:
    """The identity provider that the settings name; None when they name none.

    Raises:
        InvalidInput: something that it needs is missing, or would travel unencrypted.
    """
    if settings.oidc_issuer is None:
        return None
    if settings.oidc_client_id is None or settings.console_url is None:
        missing = "QM_OIDC_CLIENT_ID" if settings.oidc_client_id is None else "QM_CONSOLE_URL"
        raise InvalidInput(f"{missing} is not set; with QM_OIDC_ISSUER it has to be")
    for name, address in (("QM_OIDC_ISSUER", settings.oidc_issuer), ("QM_CONSOLE_URL", settings.console_url)):
        parts = urlsplit(address)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise InvalidInput(f"{name} must begin with https://; only a loopback address may be without")
    return OidcProvider(
        Registration(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            redirect_uri=settings.console_url + CALLBACK,
            secret=_secret(settings.oidc_client_secret_file),
            scope=settings.oidc_scope,
            claims=Claims(
                roles=settings.oidc_roles_claim if settings.oidc_roles else None,
                mapping=role_mapping(settings.oidc_roles or ""),
                locations=settings.oidc_locations_claim,
                approval_limit=settings.oidc_limit_claim,
            ),
        ),
        key,
    )


def on_embedded_stack(settings: Settings) -> bool:
    """Whether whoever can make a sign-in link holds everything anyway.

    So it is when the database is the child of a supervisor of ours that runs now, reached by the Unix socket in a
    directory that belongs to this account, and when the console can be reached from this machine alone: a name that
    others reach it by, through a proxy, ends that. No setting says so: the supervisor's record of its run does, or
    nobody.
    """
    named = urlsplit(settings.console_url or "").hostname
    here = is_loopback(settings.console_host) and (named is None or is_loopback(named))
    return here and embedded_database(settings)


def embedded_database(settings: Settings) -> bool:
    """Whether the database belongs to a running supervisor of ours."""
    dsn = settings.postgres_dsn or ""
    socket = Path((parse_qs(urlsplit(dsn).query).get("host") or [""])[0])
    if urlsplit(dsn).hostname or not socket.is_absolute() or not _is_ours(socket):
        return False
    places = [settings.home / "up", settings.home / "demo"]
    if settings.console_key_file is not None:
        places.append(settings.console_key_file.parent)
    return any(_runs_on(place, dsn) for place in places)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _runs_on(state_dir: Path, dsn: str) -> bool:
    record = read_run(state_dir)
    return (
        record is not None
        and record.running()
        and "postgres" in record.children
        and record.addresses is not None
        # Whoever we connect as: the record has the superuser.
        and as_role(record.addresses.postgres_dsn, "") == as_role(dsn, "")
    )


def _is_ours(directory: Path) -> bool:
    """A directory of this account (or of the one that root gave the server) that nobody else can write to."""
    try:
        found = directory.stat()
    except OSError:
        return False
    return found.st_mode & 0o077 == 0 and (os.geteuid() in (0, found.st_uid))


def _secret(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        secret = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"QM_OIDC_CLIENT_SECRET_FILE: {file} cannot be read ({type(error).__name__})") from None
    if not secret:
        raise InvalidInput(f"QM_OIDC_CLIENT_SECRET_FILE: {file} is empty")
    return secret
