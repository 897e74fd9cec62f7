"""Many values in one text come back from the server as the values they were."""

import pytest

from connectors.postgres.columns import literal
from tests.storeroom import Storeroom


@pytest.mark.parametrize(
    "values",
    [[], [""], ["NULL", "null"], ['a"b', "c,d", "{e}", " f ", "\\g\\"], ['"'], ["\\"], ["caf\u00e9", "L1:I-7:1"]],
)
def test_a_literal_is_the_array_of_its_texts(storeroom: Storeroom, values: list[str]) -> None:
    assert storeroom.connection.execute("SELECT %s::text[] AS found", [literal(values)]).fetchone() == {"found": values}
