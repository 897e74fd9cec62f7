"""A second opinion on every prediction: trees walked by our own code, bit for bit what XGBoost answers.

Float32 throughout, in the order that the file has: each output starts at its base score (through the objective's link)
and each tree adds its leaf; a value below the split's condition goes left, a missing one where the split says. So a
recorded decision can be checked without the library that made it, and a library that answers otherwise is noticed.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from activities.learning.ubjson import read_ubjson
from activities.learning.windows import Ints
from workflows.domain.errors import ModelUnusable

Singles = npt.NDArray[np.float32]


def _log(base: float) -> float:
    return math.log(base)


def _logit(base: float) -> float:
    # As the library writes it, in its order of operations.
    single = np.float32(base)
    return -math.log(float(np.float32(1.0) / single - np.float32(1.0)))


LINKS: Mapping[str, Callable[[float], float]] = {
    "reg:quantileerror": float, "reg:squarederror": float, "reg:absoluteerror": float,
    "reg:tweedie": _log, "count:poisson": _log, "reg:gamma": _log,
    "binary:logistic": _logit, "reg:logistic": _logit, "binary:logitraw": float,
}  # fmt: skip
"""From the base score in the unit of predictions to that of margins."""


@dataclass(frozen=True)
class _Tree:
    left: Ints
    """-1 at a leaf."""
    right: Ints
    feature: Ints
    condition: Singles
    """The split's threshold; at a leaf what it adds."""
    default_left: npt.NDArray[np.bool_]
    output: int


@dataclass(frozen=True)
class ReferenceScorer:
    """The trees of one booster. `margins` is what XGBoost calls `predict(output_margin=True)`."""

    objective: str
    features: int
    base: Singles
    """[outputs] in the unit of margins."""
    trees: tuple[_Tree, ...]

    @classmethod
    def read(cls, raw: bytes) -> "ReferenceScorer":
        """The booster in XGBoost's JSON or UBJSON.

        Raises:
            ModelUnusable: when the bytes are damaged, or hold what is not scored here: other boosters than trees of
                one number a leaf, categorical splits, objectives whose link is not known.
        """
        try:
            document = json.loads(raw) if raw[:2] in (b'{"', b"{\n", b"{ ") else read_ubjson(raw)
            return _read(document["learner"])
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise ModelUnusable(f"the booster's trees cannot be read: {error}") from error

    @property
    def thresholds(self) -> list[Singles]:
        """Per feature the values that splits compare with, each once, ascending."""
        asked = np.concatenate([tree.feature[tree.left >= 0] for tree in self.trees] or [np.zeros(0, np.int64)])
        values = np.concatenate([tree.condition[tree.left >= 0] for tree in self.trees] or [np.zeros(0, np.float32)])
        return [np.unique(values[asked == feature]) for feature in range(self.features)]

    def margins(self, vectors: Singles) -> Singles:
        """[rows, outputs] margins of [rows, features]; NaN is missing. A row's answer does not depend on the others.

        Raises:
            ModelUnusable: for a tree without an end.
            ValueError: for another number of features, or anything but float32: its rounding would be ours.
        """
        if vectors.dtype != np.float32 or vectors.ndim != 2 or vectors.shape[1] != self.features:
            raise ValueError(f"need float32 [rows, {self.features}], not {vectors.dtype}{list(vectors.shape)}")
        found = np.repeat(self.base[None, :], len(vectors), axis=0)
        for tree in self.trees:
            found[:, tree.output] += _leaves(tree, vectors)
        return found


def _leaves(tree: _Tree, vectors: Singles) -> Singles:
    node = np.zeros(len(vectors), dtype=np.int64)
    rows = np.arange(len(vectors))
    walking = rows[tree.left[node] >= 0]
    for _ in range(len(tree.left)):
        if not len(walking):
            break
        at = node[walking]
        value = vectors[walking, tree.feature[at]]
        goes_left = np.where(np.isnan(value), tree.default_left[at], value < tree.condition[at])
        node[walking] = np.where(goes_left, tree.left[at], tree.right[at])
        walking = walking[tree.left[node[walking]] >= 0]
    if len(walking):
        raise ModelUnusable("a tree runs in a circle")
    leaves: Singles = tree.condition[node]
    return leaves


def _read(learner: Mapping[str, Any]) -> ReferenceScorer:
    booster, objective = learner["gradient_booster"], learner["objective"]["name"]
    if booster["name"] != "gbtree":
        raise ModelUnusable(f"only gbtree is scored here, not {booster['name']}")
    if objective not in LINKS:
        raise ModelUnusable(f"the link of objective {objective} is not known here")
    parameters, model = learner["learner_model_param"], booster["model"]
    outputs = max(int(parameters.get("num_target", "1")), int(parameters["num_class"]), 1)
    base = [float(one) for one in str(parameters["base_score"]).strip("[]").split(",")]
    if len(base) == 1:
        base *= outputs
    if len(base) != outputs:
        raise ModelUnusable(f"{len(base)} base scores for {outputs} outputs")
    # What the file says is a float32 already; the link's result is rounded to one.
    margin = np.array([LINKS[objective](float(np.float32(one))) for one in base], dtype=np.float32)
    trees = tuple(
        _tree(one, int(output)) for one, output in zip(model["trees"], model["tree_info"], strict=True)
    )  # fmt: skip
    return ReferenceScorer(objective, int(parameters["num_feature"]), margin, trees)


def _tree(document: Mapping[str, Any], output: int) -> _Tree:
    if int(document["tree_param"]["size_leaf_vector"]) > 1:
        raise ModelUnusable("leaves with several numbers are not scored here")
    if len(document["categories_nodes"]):
        raise ModelUnusable("categorical splits are not scored here")

    def whole(name: str) -> Ints:
        return np.array(document[name], dtype=np.int64)

    left, right = whole("left_children"), whole("right_children")
    return _Tree(
        left, right, whole("split_indices"), np.array(document["split_conditions"], dtype=np.float32),
        np.array(document["default_left"], dtype=np.bool_), output,
    )  # fmt: skip
