"""How often demand fell at or below a forecast's quantiles, as a bar beside the share that was promised."""

from decimal import Decimal
from typing import NamedTuple

from markupsafe import Markup

from workflows.domain.model_history import TurnedOut

WIDTH, HEIGHT = 204, 16


class Level(NamedTuple):
    """One quantile: what it promised, what came, and the bar that shows both."""

    promised: Decimal
    share: Decimal
    svg: Markup


def levels(record: TurnedOut) -> tuple[Level, ...]:
    """The three quantiles of a record; none when it counts no outcome."""
    if record.outcomes == 0:
        return ()
    counted = (("0.1", record.at_or_below_p10), ("0.5", record.at_or_below_p50), ("0.9", record.at_or_below_p90))
    return tuple(_level(Decimal(promised), Decimal(count) / record.outcomes) for promised, count in counted)


def _level(promised: Decimal, share: Decimal) -> Level:
    mark, width = round(2 + 200 * float(promised), 1), round(200 * float(share), 1)
    # The table's cell says the figure, so the picture itself is not read out.
    svg = Markup(
        '<svg class="bar level" viewBox="0 0 {} {}" aria-hidden="true" focusable="false">'
        '<rect class="fall" x="2" y="4" width="{}" height="8"/><line class="promised" x1="{}" y1="0" x2="{}" y2="{}"/>'
        "</svg>"
    ).format(WIDTH, HEIGHT, width, mark, mark, HEIGHT)
    return Level(promised, share, svg)
