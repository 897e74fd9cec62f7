"""A file is opened whole or refused with a sentence that names what is wrong with it."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.feeds.dataco import DataCo
from connectors.feeds.file_feed import FileFeed
from connectors.feeds.online_retail import OnlineRetail
from connectors.feeds.rowfile import moment_of, open_rows, price_of, words_of
from workflows.domain.errors import InvalidInput

WANTED = (("Code", "SKU"), ("Name",))
Feed = Callable[[Path], FileFeed]
feeds = pytest.mark.parametrize("feed", [OnlineRetail, DataCo], ids=["online-retail", "dataco"])


def _file(folder: Path, content: bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("zipped", [False, True])
def test_letters_survive_every_encoding_and_gzip(tmp_path: Path, encoding: str, zipped: bool) -> None:
    content = "ignored,name , code\r\n1,Café £5,A1\r\n".encode(encoding)
    path = _file(tmp_path, gzip.compress(content) if zipped else content)
    assert list(open_rows(path, WANTED).rows) == [("A1", "Café £5")]


def test_a_file_and_its_gzipped_copy_are_the_same_world(tmp_path: Path) -> None:
    content = b"SKU,Name\nA1,x\n"
    plain, zipped = _file(tmp_path, content), _file(tmp_path, gzip.compress(content), "rows.csv.gz")
    assert open_rows(plain, WANTED).digest == open_rows(zipped, WANTED).digest


def test_short_rows_are_reported_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    path = _file(tmp_path, b"SKU,Name\nA1\n\nA2,y\n")
    assert list(open_rows(path, WANTED).rows) == [None, ("A2", "y")]


def test_all_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="lacks 2 of 2 needed columns: Code, Name"):
        open_rows(_file(tmp_path, b"a,b\n1,2\n"), WANTED)


@feeds
@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"", "f.csv", "is empty"),
        (b"\n \n", "f.csv", "is empty"),
        (gzip.compress(b"", mtime=0), "f.csv.gz", "is empty"),
        (b"some,other,table\n1,2,3\n", "f.csv", "needed columns"),
        (b"%PDF-1.7 \xff\xfe\x00", "f.csv", "needed columns"),
        (b"PK\x03\x04rest", "f.csv", "Excel"),
        (b"plain text", "f.csv.gz", "not gzipped"),
        (gzip.compress(b"x" * 10_000, mtime=0)[:-12], "f.csv.gz", "broken gzip"),
        (b"\x1f\x8bnot really", "f.csv.gz", "broken gzip"),
        (b'"' + b"x" * 200_000, "f.csv", "not a CSV file"),
    ],
)
def test_what_is_not_the_file_is_refused_in_words(
    tmp_path: Path, feed: Feed, content: bytes, name: str, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        feed(_file(tmp_path, content, name))


@feeds
def test_a_missing_file_and_a_folder_are_refused_in_words(tmp_path: Path, feed: Feed) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        feed(tmp_path / "nowhere.csv")
    with pytest.raises(InvalidInput, match="cannot be read"):
        feed(tmp_path)


def test_a_fault_inside_the_table_is_refused_in_words(tmp_path: Path) -> None:
    table = open_rows(_file(tmp_path, b"SKU,Name\nA1,x\nA2," + b"y" * 200_000 + b"\n"), WANTED)
    with pytest.raises(InvalidInput, match="after row 2"):
        list(table.rows)


@pytest.mark.parametrize("text", ["", "free", "nan", "Infinity", "1e400", "-1e12"])
def test_what_is_no_price_raises_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="price"):
        price_of(text, Decimal("0.01"))


def test_prices_lose_their_float_noise() -> None:
    assert price_of(" 199.9900055", Decimal("0.01")) == Decimal("199.99")


@pytest.mark.parametrize("text", ["", "soon", "0001-01-01 00:00:00", "9999-01-01", "13/13/2011 8:00"])
def test_what_is_no_moment_of_an_event_raises_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        moment_of(text, "%m/%d/%Y %H:%M")


def test_moments_are_utc_whatever_their_spelling() -> None:
    eight = datetime(2011, 12, 9, 8, 26, tzinfo=UTC)
    assert moment_of("12/9/2011 8:26", "%m/%d/%Y %H:%M") == eight
    assert moment_of("2011-12-09 08:26:00") == eight
    assert moment_of("2011-12-09T09:26:00+01:00") == eight


def test_words_hold_nothing_that_a_database_would_refuse() -> None:
    assert words_of("  WHITE\x00 MUG\n ") == "WHITE MUG"
    assert len(words_of("x" * 500)) == 200
