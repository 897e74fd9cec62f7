"""The learner turns histories into a model, and says which of two is better on days that neither has seen."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np

from activities.learning.cadence import DAY
from activities.learning.demand import MILLI, QUANTILES, ROUNDS
from activities.learning.evaluation import by_series, loss_ratio, pinball, ratio_upper
from activities.learning.forecasting import forecast
from activities.learning.lateness import train_lateness
from activities.learning.live_rehearsal import compared_costs, rehearsed_scales, terms_of
from activities.learning.model_file import Model, pack, read_manifest, unpack
from activities.learning.rescoring import rescore_self_test
from activities.learning.training import TRAINING_ROWS, train_panel
from activities.learning.windows import Floats, Panel
from workflows.domain.deliveries import DeliveryRecord
from workflows.domain.errors import InvalidInput
from workflows.domain.models import Comparison, Progress, TrainedModel, TrainingSeries

MIN_TRAINING_ROWS = 200
COMPARED_DAYS = 28
COMPARED_EVERY_DAYS = 7
COMPARED_AT_ONCE = 200
NINETY = QUANTILES.index(0.9)
REMEMBERED = 16


class XgboostLearner:
    """Implements `domain.models.Learner` with XGBoost for items and Prophet for the segments it wins."""

    def __init__(self, *, nthread: int = 1, rows: int = TRAINING_ROWS, rounds: int = ROUNDS) -> None:
        self._nthread = nthread
        self._rows = rows
        self._rounds = rounds
        # How long training took is no part of the artefact: the same training must give the same bytes.
        self._seconds: OrderedDict[str, Decimal] = OrderedDict()

    def train(
        self, series: Sequence[TrainingSeries], *, last_day: date, seed: int, progress: Progress,
        deliveries: Sequence[DeliveryRecord] = (),
    ) -> bytes:  # fmt: skip
        """A model trained on demand up to and including `last_day`; the same input gives the same bytes.

        Raises:
            InvalidInput: when there is too little history to learn anything from.
        """
        started = time.perf_counter()
        progress("history", 0, len(series))
        panel = Panel.of(series, last_day)
        progress("history", len(series), len(series))
        model = train_panel(
            panel, horizon=DAY.horizon, rows=self._rows, rounds=self._rounds, seed=seed, nthread=self._nthread,
            report=progress,
            rehearse=lambda unseen: rehearsed_scales(unseen, panel, terms_of(series), progress),
        )  # fmt: skip
        if model.manifest.rows < MIN_TRAINING_ROWS:
            raise InvalidInput(
                f"too little history: {model.manifest.rows} training rows from {len(series)} series through "
                f"{last_day}, at least {MIN_TRAINING_ROWS} are needed"
            )
        lateness = train_lateness(deliveries, last_day=last_day, seed=seed, nthread=self._nthread)
        artefact = pack(replace(model, lateness=lateness))
        self._remember(artefact, time.perf_counter() - started)
        return artefact

    def describe(self, model: bytes) -> TrainedModel:
        """The facts that the artefact carries about itself. `seconds` is 0 unless this learner trained it.

        Raises:
            ModelUnusable: when the bytes are damaged or too new for this installation.
        """
        manifest = read_manifest(model)
        sha256 = hashlib.sha256(model).hexdigest()
        return TrainedModel(
            digest=sha256, trained_through=manifest.trained_through, rows=manifest.rows, rounds=manifest.rounds,
            seconds=self._seconds.get(sha256, Decimal(0)), segments=manifest.segments,
            library=f"xgboost {manifest.xgboost_version}, prophet {manifest.prophet_version}",
        )  # fmt: skip

    def compare(
        self, series: Sequence[TrainingSeries], candidate: bytes, champion: bytes, *, first_day: date, last_day: date
    ) -> Comparison:
        """Both models on demand from `first_day` to `last_day`, which neither may have been trained on.

        Raises:
            InvalidInput: when one was trained on days of the stretch, or nothing was observed in it.
            ModelUnusable: when one cannot be read.
        """
        ours, theirs = unpack(candidate, nthread=self._nthread), unpack(champion, nthread=self._nthread)
        for name, model in (("candidate", ours), ("champion", theirs)):
            if model.manifest.trained_through >= first_day:
                raise InvalidInput(f"the {name} was trained through {model.manifest.trained_through}: not unseen")
        if last_day < first_day:
            raise InvalidInput(f"the stretch from {first_day} to {last_day} is empty")
        panel = Panel.of(series, last_day)
        judged = [_judge(model, panel, first_day.toordinal()) for model in (ours, theirs)]
        (our_loss, our_hits, seen), (their_loss, their_hits, _) = judged
        if seen.sum() == 0:
            raise InvalidInput(f"nothing was observed between {first_day} and {last_day}")
        upper = min(ratio_upper(our_loss, their_loss), 9_999.0)
        ratio = min(loss_ratio(our_loss, their_loss), 9_999.0)
        return Comparison(
            first_day=first_day, last_day=last_day, series=int((seen > 0).sum()), loss_ratio=_four(ratio),
            loss_ratio_upper=_four(upper), candidate_coverage_90=_four(float(our_hits.sum() / seen.sum())),
            champion_coverage_90=_four(float(their_hits.sum() / seen.sum())),
            candidate_loss=_four(float(our_loss.sum() / seen.sum())),
            champion_loss=_four(float(their_loss.sum() / seen.sum())),
            costs=compared_costs(ours, theirs, panel, terms_of(series), (last_day - first_day).days + 1),
            rescored=rescore_self_test(candidate),
        )  # fmt: skip

    def _remember(self, artefact: bytes, seconds: float) -> None:
        self._seconds[hashlib.sha256(artefact).hexdigest()] = Decimal(repr(seconds)).quantize(Decimal("0.001"))
        while len(self._seconds) > REMEMBERED:
            self._seconds.popitem(last=False)


def _four(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(Decimal("0.0001"))


def _judge(model: Model, panel: Panel, first: int) -> tuple[Floats, Floats, Floats]:
    """Per series: summed pinball loss, observations at or below the 0.9 quantile, observations.

    The origins roll by weeks, so that both near and far days are judged.
    """
    count = len(panel.category)
    loss, hits, seen = np.zeros(count), np.zeros(count), np.zeros(count)
    for origin in range(max(first - 1, panel.first), panel.last, COMPARED_EVERY_DAYS):
        reach = min(COMPARED_DAYS, panel.last - origin)
        for begin in range(0, count, COMPARED_AT_ONCE):
            rows = np.arange(begin, min(begin + COMPARED_AT_ONCE, count))
            windows = panel.windows(origin, rows)
            said = forecast(model, windows, np.full(len(rows), reach, dtype=np.int64)).knots
            pairs, ahead = np.repeat(np.arange(len(rows)), reach), np.tile(np.arange(1, reach + 1), len(rows))
            actual = panel.targets(rows[pairs], origin + ahead)
            known = ~np.isnan(actual)
            pairs, ahead, actual = pairs[known], ahead[known], actual[known]
            quantiles = said[pairs, ahead - 1] / MILLI
            of = rows[pairs]
            loss += by_series(pinball(actual, quantiles), of, count)
            hits += by_series((actual <= quantiles[:, NINETY]).astype(np.float64), of, count)
            seen += by_series(np.ones(len(of)), of, count)
    return loss, hits, seen
