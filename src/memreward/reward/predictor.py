"""From an experience memory to a reward and a confidence for every rollout: what most users call."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memreward.answers.beliefs import AnswerBeliefs
from memreward.answers.choose import ROUNDS, proposals
from memreward.answers.model import AnswerModel
from memreward.answers.prior import DEFAULT, RewardPrior
from memreward.arrays import rebuilt
from memreward.domains import Verifiers
from memreward.evaluation.held_out import HeldOut, assign_folds, held_out_figures
from memreward.evaluation.parts import installed_versions
from memreward.features.behaviour import runner_for
from memreward.features.featurizer import Featurizer, RolloutRunner
from memreward.features.own import require_signals
from memreward.features.subset import rows_of_queries, subset
from memreward.memory import FROM_FILE, NOBODY, Budget, ExperienceMemory, label, seal_verdicts
from memreward.memory.labelling import FLAGGED, flagged
from memreward.reward.explain import Explanation, explain
from memreward.reward.notebook import notebook_progress
from memreward.reward.plain import groups_of_plain, rollouts_in
from memreward.reward.scores import Scores
from memreward.types import (
    PROGRAMMING_ERRORS,
    Execute,
    Features,
    FloatArray,
    Group,
    Label,
    LabelError,
    Progress,
    Rollout,
    Score,
    StoreError,
    silent,
)

SCORE = "score"
"""The ledger's name for labels that stand in place of predictions."""
WARMUP = "warmup"
"""The ledger's name for labels that the predictor learns from before training."""
FILE = "predictor.safetensors"
RECENT = 32
"""Earlier rollouts of a query, at most, that its pool takes from memory."""
CHOICES = ("advantage", "random")
"""How queries are chosen for labels: those whose advantages are most uncertain, in rounds; drawn by seed."""

_SCALED_ON = 1000
_FOLDS = 5
_OLD_FILE = "predictor.json"


@dataclass(frozen=True)
class Provenance:
    """How a predictor came to be, written beside it.

    Attributes:
        left_out: Sources of that prior that share questions with memory, and were left out.
        versions: Of memreward, Python and what matters to the numbers.
        ran_code: Whether solutions of code were run for evidence; `load` then does the same.
    """

    labelled_queries: int
    labels: int
    seed: int
    prior: str
    left_out: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    ran_code: bool = False


class RewardPredictor:
    """Scores rollouts with an answer model over an experience memory. Make one with `warmup` or `load`.

    Attributes:
        memory: Where earlier rollouts of a query are found; `score` never writes to it.
        held_out: Figures on the labelled rollouts, each predicted blind to its query's label, beside majority vote's;
            over all domains, then by domain. Empty with labels of fewer than two queries.
    """

    def __init__(
        self,
        memory: ExperienceMemory,
        featurizer: Featurizer,
        model: AnswerModel,
        provenance: Provenance,
        held_out: Sequence[HeldOut] = (),
    ) -> None:
        self.memory, self.featurizer, self.model = memory, featurizer, model
        self.provenance, self.held_out = provenance, tuple(held_out)

    @classmethod
    def warmup(
        cls,
        memory: ExperienceMemory,
        *,
        budget: Budget | None = None,
        seed: int = 0,
        prior: RewardPrior | str | Path = DEFAULT,
        choose: str = "advantage",
        queries: Sequence[str] | None = None,
        runner: RolloutRunner | Execute | None = "auto",
        progress: Progress | None = None,
    ) -> Self:
        """Choose queries, release their labels through the ledger, and let the model learn from them.

        Sources of the prior that share a question with memory are left out of it. No label at all is a legal budget:
        then nothing is checked, and the prior and majority vote decide.

        Args:
            memory: Holds the rollouts and, sealed, the ground truth: verdicts, or references, by which rollouts are
                verified first. Code is not, since it would be run: `memreward verify`.
            budget: Most labels to consume; None takes every label that is there. `provenance` says how many it were.
            choose: One of `CHOICES`; where all that has a label is taken it makes no difference.
            runner: Runs the solutions of code rollouts; "auto" does where the system can contain it, "on" must.
            progress: Told of a stage, what is done and of how much; in a notebook it is shown where nobody is told.

        Raises:
            LabelError: where memory holds no rollouts.
            BudgetError: where the ledger already holds more than the budget.
        """
        known = prior if isinstance(prior, RewardPrior) else RewardPrior.load(prior)
        groups = [group for group in memory.groups() if group.rollouts]
        if not groups:
            raise LabelError(f"{memory.uri} holds no rollouts: add some, labelled or not")
        usable = known.without(group.query for group in groups)
        model = AnswerModel(usable)
        featurizer = Featurizer(runner=_made(runner))
        told = progress or notebook_progress()
        if queries is None and (budget is None or budget.limits(1)[0] != 0):
            seal_verdicts(memory, Verifiers())
        labels = _spend(memory, model, featurizer, budget, seed, choose if queries is None else queries, told)
        labelled = {one.query_id for one in labels}
        # Beyond some hundreds of queries the scaling of signals does not move any more.
        others = [g for g in groups if g.query.id not in labelled][:_SCALED_ON]
        taken = [g for g in groups if g.query.id in labelled] + others
        rollouts = [rollout for group in taken for rollout in group.rollouts]
        features, verdicts = featurizer.features(rollouts), label_array(rollouts, labels)
        model.fit(features, verdicts)
        told("learning", 1, 1)
        ran = featurizer.runner is not None and getattr(featurizer.runner, "contained", None) is not False
        left_out = len(known.factors) - len(usable.factors)
        provenance = Provenance(
            len(labelled), len(labels), seed, known.name, left_out, installed_versions(("memreward", "numpy")), ran
        )
        return cls(memory, featurizer, model, provenance, _held_out(usable, features, verdicts, seed))

    @property
    def threshold(self) -> float:
        """Value from which a rollout is held to be right: one half, since values are probabilities."""
        return self.model.threshold

    def score(
        self,
        given: Iterable[Rollout | Group] | Group | Sequence[str],
        completions: Sequence[str] | Sequence[Sequence[str]] | None = None,
        *,
        domain: str = "math",
        labels: bool = False,
    ) -> Scores:
        """Score rollouts, in their order. Agreement counts each query's earlier rollouts in memory too.

        The advantage is the expected one among the rollouts of the query that are given here. Nothing is looked up in
        the ground truth. A query whose rollouts cannot be scored, or that people flagged as broken, is an abstention
        (value None) with its reason.

        Args:
            given: Rollouts, groups, or with `completions` questions as texts.
            completions: One text a question, or a list of texts a question.
            labels: Let what the ledger holds of these rollouts, and of equivalent answers, stand in place of what is
                predicted. It costs nothing again; the ledger enters it for the use "score".

        Raises:
            TypeError: these are neither rollouts, nor groups, nor questions with completions.
            DataError: there are not as many completions as questions.
            Exception: any other programming error (`memreward.types.PROGRAMMING_ERRORS`).
        """
        rollouts = rollouts_in(given, completions, domain)
        if not rollouts:
            return Scores([], [])
        try:
            return self._scores(rollouts, labels=labels)
        except PROGRAMMING_ERRORS:
            raise
        except Exception as error:  # one odd rollout must not cost the others their score: queries are tried one by one
            return self._score_one_by_one(rollouts, error, labels=labels)

    def _scores(self, rollouts: Sequence[Rollout], *, labels: bool) -> Scores:
        beliefs, verdicts = self.beliefs(rollouts), dict[str, bool]()
        if labels:
            found = label(
                self.memory, {r.query.id: None for r in rollouts}, NOBODY, use=SCORE, rollouts=rollouts
            ).labels
            verdicts = {one.rollout_id: one.correct for one in found}
            beliefs = beliefs.told(label_array(rollouts, found))
        broken = flagged(self.memory)
        voted = {r.query.domain for r in rollouts} - self.model.prior.domains.keys()
        scores = zip(rollouts, beliefs.scores(), strict=True)
        said = (Score(None, 0.0, FLAGGED) if r.query.id in broken else s for r, s in scores)
        return Scores(said, rollouts, verdicts, voted)

    def _score_one_by_one(self, rollouts: Sequence[Rollout], error: Exception, *, labels: bool) -> Scores:
        queries = dict.fromkeys(r.query.id for r in rollouts)
        if len(queries) == 1:
            return Scores([Score(None, 0.0, f"{type(error).__name__}: {error}")] * len(rollouts), rollouts)
        scores: dict[int, Score] = {}
        known, voted = set[str](), set[str]()
        for query_id in queries:
            places = [i for i, r in enumerate(rollouts) if r.query.id == query_id]
            part = self.score([rollouts[i] for i in places], labels=labels)
            scores.update(zip(places, part, strict=True))
            known |= part.known
            voted |= part.voted
        return Scores([scores[i] for i in range(len(rollouts))], rollouts, known, voted)

    def __repr__(self) -> str:
        made = self.provenance
        return f"RewardPredictor({made.labelled_queries} labelled questions, prior {made.prior!r}, {self.memory!r})"

    def beliefs(self, rollouts: Iterable[Rollout], recent: int = RECENT) -> AnswerBeliefs:
        """Return what the model holds of n rollouts, each query's pool being they and its `recent` ones in memory."""
        rollouts = rollouts_in(rollouts)
        return self.model.beliefs(self.featurizer.features(self._pool(rollouts, recent))).first(len(rollouts))

    def _pool(self, rollouts: Sequence[Rollout], recent: int) -> list[Rollout]:
        """Return `rollouts` and, after them, at most `recent` other rollouts of each of their queries in memory."""
        if not recent:
            return list(rollouts)
        given = {r.id for r in rollouts}
        earlier = self.memory.groups(list(dict.fromkeys(r.query.id for r in rollouts)), recent=recent)
        return [*rollouts, *(r for group in earlier for r in group.rollouts if r.id not in given)]

    def explain(self, rollout: Rollout, *, beside: Sequence[Rollout] = ()) -> Explanation:
        """Say what the answers of a rollout's question are, how probable each is, and what speaks for it.

        Args:
            beside: Its group, with it or without it; the score is the one that `score` gives it among them.
        """
        ids = [other.id for other in beside]
        together = list(beside) if rollout.id in ids else [rollout, *beside]
        row = ids.index(rollout.id) if rollout.id in ids else 0
        pool = self._pool(together, RECENT)
        return explain(self.model, self.featurizer.features(pool), pool, row, len(together))

    def save(self, folder: str | Path) -> None:
        """Write the predictor and its provenance to a folder, whole or not at all; memory stays where it is."""
        about = {"provenance": asdict(self.provenance), "held_out": [each.to_dict() for each in self.held_out]}
        self.model.save(Path(folder) / FILE, about)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        memory: ExperienceMemory,
        *,
        runner: RolloutRunner | Execute | None = "auto",
        progress: Progress = silent,
    ) -> Self:
        """Read what `save` wrote: model, settings, prior, and whether code is run for evidence.

        Raises:
            StoreError: if the file is absent, damaged, or of a release before 0.2.
            ConfigurationError: if it has learned from signals of one's own that are not there.
        """
        path = Path(folder) / FILE
        if not path.exists() and (Path(folder) / _OLD_FILE).exists():
            raise StoreError(
                f"{folder} holds a graph network of release 0.1, which is no longer read: run warmup again; the "
                "labels that the ledger holds cost nothing again"
            )
        model, about = AnswerModel.load(path)
        require_signals(name for state in model.domains.values() for name in state.prior.signals)
        try:
            held_out = rebuilt(tuple[HeldOut, ...], about["held_out"])
            provenance = Provenance(**about["provenance"])
        except (KeyError, TypeError) as error:
            raise StoreError(f"{path} does not say what it was made from ({error}); run warmup again") from error
        if runner == "auto" and not provenance.ran_code:
            runner = None
        return cls(memory, Featurizer(runner=_made(runner, progress)), model, provenance, held_out)


def _spend(
    memory: ExperienceMemory,
    model: AnswerModel,
    featurizer: Featurizer,
    budget: Budget | None,
    seed: int,
    choose: str | Sequence[str],
    progress: Progress,
) -> list[Label]:
    """Release labels up to the budget: of the queries named, of drawn ones, or in rounds where doubt is greatest."""
    ledger = memory.ledger
    if choose != "advantage" or budget is None:
        order = None if isinstance(choose, str) else choose
        return label(ledger, ledger.choose(budget, seed, order=order), FROM_FILE, budget, WARMUP).labels
    count = len(ledger.choose(budget, seed))
    without = set(ledger.ineligible())
    groups = [g for g in memory.groups() if g.rollouts and g.query.id not in without]
    if count >= len(groups):
        return label(ledger, ledger.choose(budget, seed), FROM_FILE, budget, WARMUP).labels
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    features = featurizer.features(rollouts)
    # What the ledger holds comes first and fills the rounds it suffices for, so that a killed warmup goes on as it was.
    held = set(ledger.labelled())
    taken = [query_id for query_id in ledger.choose(budget, seed) if query_id in held]
    labels = label(ledger, taken, FROM_FILE, budget, WARMUP).labels
    for round_ in range(ROUNDS):
        model.fit(features, label_array(rollouts, labels))
        more = proposals(model, features, max(0, (round_ + 1) * count // ROUNDS - len(taken)), taken)
        taken += [each.query_id for each in more]
        chosen = ledger.choose(budget, seed, among=taken, order=taken)
        labels = label(ledger, chosen, FROM_FILE, budget, WARMUP).labels
        progress("learning", round_ + 1, ROUNDS + 1)
    return labels


def _held_out(prior: RewardPrior, features: Features, labels: NDArray[np.int8], seed: int) -> tuple[HeldOut, ...]:
    rows = np.isin(features.group, features.group[labels >= 0])
    if len(np.unique(features.group[rows])) < 2:
        return ()
    values = blind_values(prior, features, labels, seed)
    return held_out_figures(subset(features, rows), labels[rows], values[rows], AnswerModel.threshold)


def blind_values(prior: RewardPrior, features: Features, labels: NDArray[np.int8], seed: int) -> FloatArray:
    """(n,) values of labelled queries' rollouts, each predicted from the labels of other folds; NaN elsewhere."""
    labelled = tuple(features.query_ids[q] for q in np.unique(features.group[labels >= 0]))
    folds = assign_folds(labelled, min(_FOLDS, len(labelled)), seed)
    values = np.full(len(features), np.nan, np.float32)
    for fold in np.unique(folds):
        own = rows_of_queries(features, {q for q, f in zip(labelled, folds, strict=True) if f == fold})
        model = AnswerModel(prior).fit(features, np.where(own, -1, labels).astype(np.int8))
        values[own] = model.predict(subset(features, own)).value
    return values


def label_array(rollouts: Sequence[Rollout], labels: Iterable[Label]) -> NDArray[np.int8]:
    """Return (n,) 1 right, 0 wrong, -1 unknown, in the order of `rollouts`."""
    verdict = {one.rollout_id: one.correct for one in labels}
    return np.array([{True: 1, False: 0, None: -1}[verdict.get(r.id)] for r in rollouts], dtype=np.int8)


def _made(runner: RolloutRunner | Execute | None, progress: Progress = silent) -> RolloutRunner | None:
    return runner_for(runner, progress) if isinstance(runner, str) else runner


def score(
    questions: Sequence[str],
    completions: Sequence[str] | Sequence[Sequence[str]],
    labels: Sequence[Any] | None = None,
    domain: str = "math",
) -> Scores:
    """Score completions, learning from the labels there are; nothing is kept. What is labelled has its label.

    Examples::

        memreward.score(["What is 2 + 3?"], [["It is 5.", "It is 5.", "It is 6."]]).values
        memreward.score(questions, completions, labels=["5", None, "12"])  # references
        memreward.score(questions, completions, labels=[[True, False], None, [None, False]])  # verdicts

    Args:
        questions: n texts, multiple choice with its options as "(A) ...". One that stands twice is one question.
        completions: n lists of texts, or n texts.
        domain: "math", "qa", "code" or "other".

    Raises:
        TypeError: these are no lists of texts.
        DataError: there are not as many completions, or labels, as questions.
    """
    groups, rollouts = groups_of_plain(questions, completions, labels, domain)
    if not rollouts:
        return Scores([], [])
    memory = ExperienceMemory.in_memory()
    memory.add(groups)
    predictor = RewardPredictor.warmup(memory, budget=Budget(queries=0) if labels is None else None)
    return predictor.score(rollouts, labels=labels is not None)
