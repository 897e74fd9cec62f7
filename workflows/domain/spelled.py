"""Numbers as they are spelled: exact, and none of a few letters that would keep a machine busy for hours."""

from decimal import Decimal

MOST_PLACES = 400
"""Before or after the point. A `1e-999999999` is exact in a Decimal, and making it an integer takes forever."""


def decimal_of(text: str) -> Decimal:
    """The number that the text spells.

    Raises:
        ArithmeticError: it spells none.
        ValueError: it has more than `MOST_PLACES` zeros before or after its digits.
    """
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and abs(exponent) > MOST_PLACES:
        raise ValueError(f"{text[:60]!r} is beyond every range")
    return value
