"""A model is one deterministic zip of readable parts: what it was trained on, the booster, the segments' seasons.

The same training gives the same bytes, so that the digest names the model. No pickle; what is damaged, or was written
by a newer library than the one that reads it, is refused.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any

import xgboost as xgb
from pydantic import Field, ValidationError

from activities.learning.cadence import CADENCES, DAY, Cadence
from activities.learning.cold_start import Prior
from activities.learning.demand import QUANTILES, load_booster
from activities.learning.features import SCALE_RULE, Context, names, schema_sha256
from activities.learning.lateness import LatenessModel
from activities.learning.pool import Pools
from activities.learning.seasonal import SegmentProfile
from workflows.domain.errors import ModelUnusable
from workflows.domain.identity import Digest, Payload, canonical, digest
from workflows.domain.models import SegmentScore

FORMAT_VERSION = 2
"""2: any cadence, pooled seasons, the empirical forecaster, correlations. What version 1 wrote must be trained anew."""
MANIFEST = "manifest.json"
BOOSTER = "booster.ubj"
MEDIAN_BOOSTER = "median.ubj"
MEAN_BOOSTER = "mean.ubj"
OCCURRENCE = "occurrence.ubj"
PRIORS = "priors.json"
LATENESS = "lateness.json"
"""Absent where there were too few deliveries to learn from, and in artefacts of before."""
POOLS = "pools.json"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest instant a zip can name


class SegmentCalibration(Payload):
    """What is corrected in the forecasts of one demand class, because it came out better on a hold-out."""

    observations: int
    """Of the hold-out."""
    occurrence: bool = False
    """Whether the chance of no sale is that of the occurrence booster."""
    shifts: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """Per horizon group, what is added to each quantile: thousandths of the row's scale."""


class Manifest(Payload):
    """The facts a model carries about itself."""

    format_version: int = FORMAT_VERSION
    xgboost_version: str
    prophet_version: str
    cadence: str = DAY.name
    feature_names: tuple[str, ...] = names(DAY)
    feature_schema_sha256: Digest = schema_sha256(DAY)
    quantiles: tuple[str, ...] = tuple(str(level) for level in QUANTILES)
    scale_rule: str = SCALE_RULE
    horizon: int = DAY.horizon
    """Furthest period ahead that was trained for."""
    seed: int
    trained_through: date
    rows: int
    rounds: int
    codes: tuple[dict[str, int], ...]
    """Per group column (the category first): name to code."""
    drivers: tuple[str, ...] = ()
    """What it learned from outside: holidays, prices, given numbers; their features come last."""
    correlations: dict[str, int] = Field(default_factory=dict)
    """Per segment, in hundredths: how much the surprises of two periods hang together."""
    tau_scales: dict[str, int] = Field(default_factory=dict)
    """Per segment, in hundredths: what the factor of tau is best multiplied by; 100 where it is not named."""
    segments: tuple[SegmentScore, ...]
    profiles: dict[str, str]
    """Segment to the member that holds its season, for the segments that Prophet won."""
    calibrations: dict[str, SegmentCalibration] = Field(default_factory=dict)
    """Per demand class: which corrections the hold-out has earned it. Absent: none."""
    members: dict[str, Digest] = Field(default_factory=dict)
    """SHA-256 of every other member."""


@dataclass(frozen=True)
class Model:
    """A loaded model."""

    manifest: Manifest
    booster: xgb.Booster | None
    """None where there was too little to learn from: every row then speaks for itself."""
    median: xgb.Booster | None
    priors: Mapping[str, Prior]
    pools: Pools = field(default_factory=Pools)
    profiles: Mapping[str, SegmentProfile] = field(default_factory=dict)
    lateness: LatenessModel | None = None
    mean: xgb.Booster | None = None
    """The second opinion: mean demand by a Tweedie loss."""
    occurrence: xgb.Booster | None = None
    """P(a period sells something)."""

    @property
    def cadence(self) -> Cadence:
        """Of the periods it speaks about."""
        return CADENCES[self.manifest.cadence]

    def taught(
        self, rows: int, booster: xgb.Booster | None, median: xgb.Booster | None = None,
        mean: xgb.Booster | None = None, occurrence: xgb.Booster | None = None,
    ) -> "Model":  # fmt: skip
        """The model with its boosters, which learned from that many rows."""
        manifest = self.manifest.model_copy(update={"rows": rows})
        return replace(self, manifest=manifest, booster=booster, median=median, mean=mean, occurrence=occurrence)

    def tuned(self, tau_scales: Mapping[str, int]) -> "Model":
        """The model with these scales of tau by segment."""
        return replace(self, manifest=self.manifest.model_copy(update={"tau_scales": dict(tau_scales)}))

    @property
    def context(self) -> Context:
        """What its features know beyond one row's window."""
        return Context(self.manifest.codes, self.pools, self.manifest.drivers)

    @property
    def chosen(self) -> Mapping[str, str]:
        """Segment to the forecaster that the backtest chose."""
        return {score.segment: score.chosen for score in self.manifest.segments}

    @property
    def correlations(self) -> Mapping[str, int]:
        """Segment to the correlation of its periods, in hundredths."""
        return self.manifest.correlations

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
    boosters = {
        BOOSTER: model.booster,
        MEDIAN_BOOSTER: model.median,
        MEAN_BOOSTER: model.mean,
        OCCURRENCE: model.occurrence,
    }
    members = (
        {
            PRIORS: _json({name: asdict(prior) for name, prior in model.priors.items()}),
            POOLS: _json(model.pools.document()),
        }
        | {name: bytes(booster.save_raw("ubj")) for name, booster in boosters.items() if booster is not None}
        | {profile_member(name): _json(profile.document()) for name, profile in model.profiles.items()}
        | ({LATENESS: _json(model.lateness.document())} if model.lateness is not None else {})
    )
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
        pools = Pools.from_document(json.loads(members[POOLS]))
        late = json.loads(members[LATENESS]) if LATENESS in members else None
        lateness = None if late is None else LatenessModel.from_document(late, nthread=nthread)
        booster, median, mean, occurrence = (
            load_booster(members[name], nthread=nthread) if name in manifest.members else None
            for name in (BOOSTER, MEDIAN_BOOSTER, MEAN_BOOSTER, OCCURRENCE)
        )
    except (KeyError, TypeError, ValueError, xgb.core.XGBoostError) as error:
        raise ModelUnusable(f"a part of the model cannot be read: {error}") from error
    return Model(manifest, booster, median, priors, pools, profiles, lateness, mean, occurrence)


def _prior(found: Mapping[str, Any]) -> Prior:
    return Prior(found["shape"], found["periods"], found["dispersion"], tuple(found["cycle"]))


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
    if _version(written := manifest.xgboost_version) > _version(xgb.__version__):
        raise ModelUnusable(
            f"it takes xgboost {written} or newer, which wrote the model; installed is {xgb.__version__}, which "
            "would forecast something else without an error"
        )
    cadence = CADENCES.get(manifest.cadence)
    if cadence is None or manifest.feature_schema_sha256 != schema_sha256(cadence, manifest.drivers):
        raise ModelUnusable("the model was trained on another feature schema than the one installed")
    return manifest, members


def _version(text: str) -> tuple[int, ...]:
    numbers = []
    for part in text.split(".")[:3]:
        digits = "".join(character for character in part if character.isdigit())
        numbers.append(int(digits or 0))
    return tuple(numbers)
