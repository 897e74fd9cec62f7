"""Picks how notices travel, from the settings; apart from `wiring`, because only one process sends them."""

from datetime import timedelta

from connectors.notify import SignedWebhook, SmtpMail
from connectors.postgres.live import PostgresLive
from connectors.postgres.notices import PostgresNotices
from connectors.postgres.people import PostgresPeople
from connectors.postgres.pool import Database
from workers.notifying import Notifying
from workers.settings import Settings
from workflows.domain.errors import InvalidInput
from workflows.domain.inbox import Inbox
from workflows.domain.notices import Channel, Sending


def notifying_of(settings: Settings, database: Database, inbox: Inbox) -> Notifying:
    """The loop that tells people, and that throws away what was told long ago.

    Raises:
        InvalidInput: a setting cannot be used; the message names it.
    """
    return Notifying(
        inbox, PostgresPeople(database), PostgresNotices(database), sending_of(settings),
        console_url=console_url_of(settings), webhook=settings.webhook_url,
        period=timedelta(minutes=settings.notice_period_minutes), live=PostgresLive(database),
    )  # fmt: skip


def sending_of(settings: Settings) -> dict[Channel, Sending]:
    """How notices can be sent.

    Raises:
        InvalidInput: a setting cannot be used; the message names it.
    """
    found: dict[Channel, Sending] = {}
    if settings.smtp_url:
        found[Channel.MAIL] = SmtpMail(settings.smtp_url, settings.mail_from)
    if settings.webhook_url:
        try:
            found[Channel.WEBHOOK] = SignedWebhook(
                settings.webhook_url, _secrets(settings), allow_private=settings.webhook_allow_private
            )
        except (ValueError, OSError) as error:
            raise InvalidInput(f"QM_WEBHOOK_URL and QM_WEBHOOK_SECRET_FILE cannot be used: {error}") from None
    return found


def console_url_of(settings: Settings) -> str:
    """Where people reach the console."""
    return settings.console_url or f"http://{settings.console_host}:{settings.console_port}"


def _secrets(settings: Settings) -> list[str]:
    if settings.webhook_secret_file is None:
        raise ValueError("QM_WEBHOOK_SECRET_FILE is not set; notices are never sent unsigned")
    return [line.strip() for line in settings.webhook_secret_file.read_text().splitlines() if line.strip()]
