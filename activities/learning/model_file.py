"""A model is one deterministic zip of readable parts: what it was trained on, the booster, the segments' seasons.

The same training gives the same bytes, so that the digest names the model. No pickle; what is damaged, or was written
by a newer library than the one that reads it, is refused.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import xgboost as xgb
from pydantic import Field, ValidationError

from activities.learning.cold_start import Prior
from activities.learning.demand import QUANTILES, load_booster
from activities.learning.features import HORIZON_DAYS, NAMES, SCALE_RULE, SCHEMA_SHA256
from activities.learning.seasonal import SegmentProfile
from workflows.domain.errors import ModelUnusable
from workflows.domain.identity import Digest, Payload, canonical, digest
from workflows.domain.models import SegmentScore

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
BOOSTER = "booster.ubj"
MEDIAN_BOOSTER = "median.ubj"
PRIORS = "priors.json"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest instant a zip can name


class Manifest(Payload):
    """The facts a model carries about itself."""

    format_version: int = FORMAT_VERSION
    xgboost_version: str
    prophet_version: str
    feature_names: tuple[str, ...] = NAMES
    feature_schema_sha256: Digest = SCHEMA_SHA256
    quantiles: tuple[str, ...] = tuple(str(level) for level in QUANTILES)
    scale_rule: str = SCALE_RULE
    horizon_days: int = HORIZON_DAYS
    seed: int
    trained_through: date
    rows: int
    rounds: int
    categories: dict[str, int]
    segments: tuple[SegmentScore, ...]
    profiles: dict[str, str]
    """Segment to the member that holds its season, for the segments that Prophet won."""
    members: dict[str, Digest] = Field(default_factory=dict)
    """SHA-256 of every other member."""


@dataclass(frozen=True)
class Model:
    """A loaded model."""

    manifest: Manifest
    booster: xgb.Booster
    median: xgb.Booster
    priors: Mapping[str, Prior]
    profiles: Mapping[str, SegmentProfile]

    @property
    def segment_names(self) -> frozenset[str]:
        """The segments that training met."""
        return frozenset(score.segment for score in self.manifest.segments)


def profile_member(segment: str) -> str:
    """The member that holds a segment's season. Categories are free text, so the name is a digest."""
    return f"prophet/{digest(segment.encode())[:16]}.json"


def _json(value: Any) -> bytes:
    # Floats are spelled by repr, which reads back to the same bits.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def pack(model: Model) -> bytes:
    """The artefact's bytes: fixed order, fixed timestamps, nothing compressed."""
    members = {
        BOOSTER: bytes(model.booster.save_raw("ubj")),
        MEDIAN_BOOSTER: bytes(model.median.save_raw("ubj")),
        PRIORS: _json({name: asdict(prior) for name, prior in model.priors.items()}),
    } | {profile_member(name): _json(profile.document()) for name, profile in model.profiles.items()}
    manifest = model.manifest.model_copy(
        update={
            "profiles": {name: profile_member(name) for name in sorted(model.profiles)},
            "members": {name: digest(raw) for name, raw in sorted(members.items())},
        }
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, raw in [(MANIFEST, canonical(manifest)), *sorted(members.items())]:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, raw)
    return buffer.getvalue()


def read_manifest(raw: bytes) -> Manifest:
    """The facts alone, without loading the booster.

    Raises:
        ModelUnusable: when the bytes are damaged or too new for this installation.
    """
    return _read(raw)[0]


def unpack(raw: bytes, *, nthread: int) -> Model:
    """The model in these bytes.

    Raises:
        ModelUnusable: when the bytes are damaged or too new for this installation.
    """
    manifest, members = _read(raw)
    try:
        priors = {name: _prior(found) for name, found in json.loads(members[PRIORS]).items()}
        profiles = {
            segment: SegmentProfile.from_document(json.loads(members[member]))
            for segment, member in manifest.profiles.items()
        }
        booster = load_booster(members[BOOSTER], nthread=nthread)
        median = load_booster(members[MEDIAN_BOOSTER], nthread=nthread)
    except (KeyError, TypeError, ValueError, xgb.core.XGBoostError) as error:
        raise ModelUnusable(f"a part of the model cannot be read: {error}") from error
    return Model(manifest, booster, median, priors, profiles)


def _prior(found: Mapping[str, Any]) -> Prior:
    return Prior(found["shape"], found["days"], found["dispersion"], tuple(found["weekdays"]))


def _read(raw: bytes) -> tuple[Manifest, dict[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        manifest = Manifest.model_validate_json(members.pop(MANIFEST))
    except (zipfile.BadZipFile, KeyError, ValidationError, ValueError, EOFError, NotImplementedError, OSError) as error:
        raise ModelUnusable(f"the model's bytes are damaged: {error}") from error
    found = {name: digest(content) for name, content in members.items()}
    if found != manifest.members:
        raise ModelUnusable("the model's parts do not match its manifest")
    if manifest.format_version > FORMAT_VERSION:
        raise ModelUnusable(f"model format {manifest.format_version} is newer than {FORMAT_VERSION}, which we read")
    # An older XGBoost reads a newer file without an error and predicts something else (science 6.4).
    if _version(manifest.xgboost_version) > _version(xgb.__version__):
        raise ModelUnusable(f"written by xgboost {manifest.xgboost_version}, installed is {xgb.__version__}")
    if manifest.feature_schema_sha256 != SCHEMA_SHA256:
        raise ModelUnusable("the model was trained on another feature schema than the one installed")
    return manifest, members


def _version(text: str) -> tuple[int, ...]:
    numbers = []
    for part in text.split(".")[:3]:
        digits = "".join(character for character in part if character.isdigit())
        numbers.append(int(digits or 0))
    return tuple(numbers)
