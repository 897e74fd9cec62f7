"""How figures look on a page: one spelling for money, shares, instants and waiting times."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from markupsafe import Markup, escape

NOTHING = "–"  # noqa: RUF001 - an en dash is what an empty cell shows

MINUS = "−"  # noqa: RUF001 - a real minus lines up with the plus


def money(amount: Decimal | str | int | None, currency: str | None) -> str:
    """An amount with its currency, to the cent; amounts of different currencies are never summed."""
    return NOTHING if amount is None else f"{Decimal(amount):,.2f} {currency or ''}".rstrip()


def small_money(amount: Decimal | None, currency: str) -> str:
    """A unit price that may be below a cent: two figures that count, "0.049 EUR"; from one unit of money on, cents."""
    if amount is None or abs(amount) >= 1 or not amount:
        return money(amount, currency)
    return f"{amount:.{max(2, 1 - amount.adjusted())}f} {currency}"


def number(value: Decimal | int | str | None, digits: int = 0) -> str:
    """A figure with thousands separators; as many decimals as asked for, none of them trailing zeros."""
    if value is None:
        return NOTHING
    text = f"{Decimal(value):,.{digits}f}".replace("-", MINUS)
    return text.rstrip("0").rstrip(".") if "." in text else text


def signed(value: Decimal | int, digits: int = 0) -> str:
    """A change, with its sign."""
    text = number(abs(Decimal(value)), digits)
    return text if text == "0" else f"{'+' if value > 0 else MINUS}{text}"


def signed_money(change: Decimal, currency: str) -> str:
    """A change of an amount, with its sign, to the cent."""
    sign = "+" if change > 0 else MINUS if change < 0 else ""
    return f"{sign}{money(abs(change), currency)}"


def percent(share: Decimal | str | None) -> str:
    """A probability as whole per cent; what is not certain is never shown as 0 % or 100 %."""
    if share is None:
        return NOTHING
    share = Decimal(share)
    if 0 < share < Decimal("0.01"):
        return "<1 %"
    if Decimal("0.99") < share < 1:
        return ">99 %"
    return f"{share * 100:.0f} %"


def moment(value: datetime | str | None) -> datetime | None:
    """An instant from a row that may spell it as text."""
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value)


def instant(value: datetime | str | None, zone: str | None = None) -> Markup:
    """An instant for people, in the time zone of that IANA name (None: UTC), and it says which; in its attribute, for
    machines, in UTC."""
    when = moment(value)
    if when is None:
        return escape(NOTHING)
    local = when.astimezone(place_of(zone))
    shown = f"{local.day} {local:%b %Y, %H:%M} {_zone_name(local)}"
    machines = when.astimezone(UTC).isoformat(timespec="seconds")
    return Markup('<time datetime="{}">{}</time>').format(machines, shown)


def place_of(zone: str | None) -> tzinfo:
    """The time zone of an IANA name; UTC for None and for a name that nobody knows."""
    try:
        return ZoneInfo(zone) if zone else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def _zone_name(local: datetime) -> str:
    """CET, CEST; zones without a name of their own tell their distance: UTC+05:45."""
    name = local.tzname() or "UTC"
    return name if name.isalpha() else f"UTC{local.isoformat()[-6:]}"


def day(value: date | str | None) -> str:
    """A calendar day."""
    if value is None:
        return NOTHING
    value = date.fromisoformat(value) if isinstance(value, str) else value
    return f"{value.day} {value:%b %Y}"


def waiting(deadline: datetime, clock: datetime | None) -> str:
    """How long is left on the location's business clock; empty where no clock is known."""
    if clock is None:
        return ""
    left = deadline - clock
    if left <= timedelta(0):
        return "passed"
    hours = int(left.total_seconds() // 3600)
    if hours < 1:
        return "in less than 1 h"
    return f"in {hours} h" if hours < 48 else f"in {hours // 24} d {hours % 24} h"


def short(value: str | None) -> Markup:
    """The beginning of a digest; the whole of it is what one gets by pointing at it."""
    if not value:
        return escape(NOTHING)
    return Markup('<code title="{}">{}</code>').format(value, value[:12])


def initials(name: str) -> str:
    """One or two letters that stand for a person; the whole name is always beside them or one step away."""
    parts = [part for part in name.replace(".", " ").replace("-", " ").split() if part]
    letters = parts[0][0] + parts[-1][0] if len(parts) > 1 else "".join(parts)[:2]
    return letters.upper()
