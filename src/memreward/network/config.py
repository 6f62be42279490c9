"""Every setting of the predictor, in one frozen object; presets and ablations are values of it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from memreward.network.schema import GraphConfig
from memreward.types import ConfigurationError

PRESETS = ("default", "paper")
ABLATIONS = (
    "no_thinking",
    "homogeneous",
    "no_similarity",
    "no_labels",
    "no_memory",
    "no_agreement",
    "no_evidence",
    "no_graph",
    "no_network",
)


@dataclass(frozen=True)
class PredictorConfig:
    """Settings of the predictor. Defaults were tried on the files of benchmarks/results/prediction.md.

    Attributes:
        graph: Which relations exist.
        network: "graph" passes messages; "mlp" uses the same inputs and head without any; "none" keeps the linear part.
        hidden: Width of node states (paper: 512).
        layers: Rounds of message passing (paper: 2).
        heads: Attention heads of GATv2 (paper: 4).
        dropout: Share of hidden units dropped in training (paper: .1).
        head: "residual" adds the network's output to a linear model of evidence; "dot" is the paper's scaled product.
        head_dim: Width of the paper's projections, d = 256 (head "dot" only).
        homogeneous: One set of weights for all relations.
        evidence: Feed evidence to the linear part and to the nodes.
        text: Feed text embeddings to the nodes.
        read_states: Feed a reader's hidden states to the thinking nodes, where there are any.
        labels: Feed labels of memory to its answer nodes.
        mask_share: Share of the training queries whose labels are hidden and predicted in each step.
        rank_weight: Weight of the in-group ranking loss beside binary cross-entropy.
        folds: Cross-fitting folds K, by query.
        epochs: Training steps at most (full batch).
        patience: Steps without a better held-out fold before training stops.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        trust: Weight at which the labels of like reasoning (`memreward.network.propagate`) count before any weight is
            fitted: 1 takes them at their word, 0 fits their weight from nothing. For few labels on questions that
            resemble each other, where held-out folds seldom hold a question's like, and hence say little of it.
        l2: Ridge penalty of the linear part; of several, its held-out folds choose one.
        abstain_below: Scores with less confidence than this are abstentions.
        least_similarity: A query whose nearest labelled query has a smaller cosine is not spoken for by memory: its
            scores are abstentions. -1 is never; what is near depends on the encoder.
        gate: A group whose predicted values spread (standard deviation) less than this gives no advantage.
        recent: Earlier rollouts of a query, at most, that its pool takes from memory.
    """

    graph: GraphConfig = field(default_factory=GraphConfig)
    network: str = "graph"
    hidden: int = 32
    layers: int = 2
    heads: int = 2
    dropout: float = 0.3
    head: str = "residual"
    head_dim: int = 256
    homogeneous: bool = False
    evidence: bool = True
    text: bool = True
    read_states: bool = False
    labels: bool = True
    mask_share: float = 0.5
    rank_weight: float = 0.5
    folds: int = 5
    epochs: int = 200
    patience: int = 20
    learning_rate: float = 2e-3
    weight_decay: float = 5e-2
    trust: float = 0.0
    l2: tuple[float, ...] = (30.0,)
    abstain_below: float = 0.0
    least_similarity: float = -1.0
    gate: float = 0.05
    recent: int = 32

    def __post_init__(self) -> None:
        choices = {"network": ("graph", "mlp", "none"), "head": ("residual", "dot")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigurationError(f"{name}={getattr(self, name)!r} is unknown; use one of {', '.join(allowed)}")
        for name in ("hidden", "layers", "heads", "epochs", "patience", "recent"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name}={getattr(self, name)} must be at least 1")
        if self.folds < 2:
            raise ConfigurationError(f"folds={self.folds}: cross-fitting needs at least 2")
        if self.hidden % self.heads:
            raise ConfigurationError(f"hidden={self.hidden} must be a multiple of heads={self.heads}")
        if not self.l2 or min(self.l2) <= 0:
            raise ConfigurationError(f"l2={self.l2}: give at least one penalty above 0")
        ranges = {
            "dropout": (0 <= self.dropout < 1, "lie in [0, 1)"),
            "least_similarity": (-1 <= self.least_similarity <= 1, "lie in [-1, 1]"),
            "mask_share": (0 < self.mask_share <= 1, "lie in (0, 1]"),
            "trust": (self.trust >= 0, "be at least 0"),
        }
        for name, (inside, must) in ranges.items():
            if not inside:
                raise ConfigurationError(f"{name}={getattr(self, name)} must {must}")

    @property
    def listens_to_labels(self) -> bool:
        """Whether labels of memory's neighbours are carried to new rollouts (`memreward.network.propagate`)."""
        return self.labels and self.evidence and self.graph.similarity and self.network != "mlp"

    @classmethod
    def preset(cls, name: str) -> Self:
        """Return a named configuration: "default", or "paper" (section 2 of the method, its edges turned)."""
        if name == "default":
            return cls()
        if name == "paper":
            return cls(
                graph=GraphConfig(agreement=False, shortcut=False),
                hidden=512,
                heads=4,
                dropout=0.1,
                head="dot",
                evidence=False,
                labels=False,
                rank_weight=0.0,
                learning_rate=1e-3,
                epochs=200,
                patience=40,
            )
        raise ConfigurationError(f"preset {name!r} is unknown; use one of {', '.join(PRESETS)}")

    def ablated(self, name: str) -> Self:
        """Return this configuration without one of its parts; `name` is one of `ABLATIONS`."""
        changes: dict[str, dict[str, Any]] = {
            "no_thinking": {"graph": replace(self.graph, thinking=False, near=0)},
            "homogeneous": {"homogeneous": True},
            "no_similarity": {"graph": replace(self.graph, similarity=False)},
            "no_labels": {"labels": False},
            "no_memory": {"graph": replace(self.graph, similarity=False), "labels": False},
            "no_agreement": {"graph": replace(self.graph, agreement=False)},
            "no_evidence": {"evidence": False},
            "no_graph": {"network": "mlp"},
            "no_network": {"network": "none"},
        }
        if name not in changes:
            raise ConfigurationError(f"ablation {name!r} is unknown; use one of {', '.join(ABLATIONS)}")
        return replace(self, **changes[name])

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return values | {"graph": vars(self.graph).copy(), "l2": list(self.l2)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        return cls(**values | {"graph": GraphConfig(**values["graph"]), "l2": tuple(values["l2"])})
