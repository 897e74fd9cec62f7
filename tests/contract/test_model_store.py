"""What a model store promises: the same bytes back, or an error that says so."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.model_store import DirectoryModelStore
from tests.fakes.model_store import InMemoryModelStore
from workflows.domain.errors import ModelUnusable
from workflows.domain.ports import ModelStore


@pytest.fixture(params=["fake", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ModelStore:
    return InMemoryModelStore() if request.param == "fake" else DirectoryModelStore(tmp_path / "a folder" / "models")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=2_000))
def test_bytes_come_back_under_their_own_digest(store: ModelStore, body: bytes) -> None:
    digest = store.put(body)
    assert digest == hashlib.sha256(body).hexdigest()
    assert store.put(body) == digest
    assert store.get(digest) == body


def test_what_was_never_stored_is_unusable(store: ModelStore) -> None:
    with pytest.raises(ModelUnusable, match="nothing is stored"):
        store.get("0" * 64)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", "é" * 64])
def test_only_a_digest_names_something(store: ModelStore, name: str) -> None:
    with pytest.raises(ModelUnusable, match="not a SHA-256"):
        store.get(name)


def test_many_writers_of_one_model_leave_one_whole_copy(tmp_path: Path) -> None:
    body = b"model" * 100_000
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: DirectoryModelStore(tmp_path).put(body), range(16)))
    assert len(digests) == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == list(digests)


@pytest.mark.parametrize("harm", [lambda body: body[:-1], lambda body: b"", lambda body: body[:-1] + b"?"])
def test_damage_is_noticed_and_mended_by_storing_again(tmp_path: Path, harm: object) -> None:
    store = DirectoryModelStore(tmp_path)
    digest = store.put(b"a champion")
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    file.write_bytes(harm(b"a champion"))  # type: ignore[operator]
    with pytest.raises(ModelUnusable, match="damaged"):
        store.get(digest)
    store.put(b"a champion")
    assert store.get(digest) == b"a champion"
