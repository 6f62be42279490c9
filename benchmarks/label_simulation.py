"""Simulate people who label: what each rule of asking reaches by judgement and by minute.

    python benchmarks/label_simulation.py FILES --markdown benchmarks/results/labelling.md

The true labels answer (through a ledger of their own, for measuring). A judgement of a whole question takes 30 s, "is
this answer right?" 10 s. After every simulated minute the model learns and the rule ranks anew. Figures are over all
questions of a file, the judged ones at what was said of them; the prior is without sources that share a question.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memreward.answers import AnswerModel, RewardPrior
from memreward.data import read_groups
from memreward.evaluation.metrics import advantage_cosine, group_auc
from memreward.features.featurizer import Featurizer
from memreward.label.outlook import Outlook
from memreward.label.queue import SECONDS
from memreward.memory import LabelLedger

MINUTES = (0, 2.5, 5, 10)
QUESTIONS = 100
FOLLOWING = (0.1, 0.2, 0.3)
TARGETS = (("advantage cosine", 1, (0.04, 0.08, 0.12)), ("group AUC", 0, (0.02, 0.04, 0.08)))

Rank = Callable[[Outlook, NDArray[np.float64]], list[tuple[int, str]]]


@dataclass(frozen=True)
class Run:
    """One annotator on one file: figures at each of MINUTES, and judgements until then."""

    file: str
    rule: str
    following: float
    seed: int
    figures: tuple[tuple[float, float], ...]
    judgements: tuple[int, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    options = parser.parse_args()
    runs: list[Run] = []
    for done, file in enumerate(options.files, start=1):
        case = read(file)
        tasks = [(rule, 0.0) for rule in RULES] + [("minute", following) for following in FOLLOWING]
        runs += [simulate(case, *task, seed) for task in tasks for seed in range(options.seeds)]
        text = page(runs, options.files[:done], options.seeds)
        if options.markdown is not None:
            options.markdown.write_text(text, encoding="utf-8")
    print(text)


@dataclass(frozen=True)
class Case:
    """A file: where learning begins, and the truth (1, 0, -1 unknown) of its rollouts."""

    name: str
    start: Outlook
    right: NDArray[np.int8]
    model: AnswerModel


def read(file: Path) -> Case:
    """Read a file, at most QUESTIONS of it, and compute its evidence."""
    groups = [group for group in read_groups(file) if group.rollouts]
    kept = np.sort(np.random.default_rng(0).permutation(len(groups))[:QUESTIONS])
    groups = [groups[i] for i in kept]
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    labels = LabelLedger.detached(groups).release([g.query.id for g in groups], use="measurement")
    known = {label.rollout_id: label.correct for label in labels}
    truth = np.array([known.get(r.id, -1) for r in rollouts], np.int8)
    model = AnswerModel(RewardPrior.load("default").without(g.query for g in groups))
    return Case(file.name.split(".jsonl")[0], Outlook(Featurizer().features(rollouts), model), truth, model)


def simulate(case: Case, rule: str, following: float, seed: int) -> Run:
    """Label one file by one rule until the last of MINUTES; with probability `following` the majority is followed."""
    outlook = Outlook(case.start.features, case.model)
    generator = np.random.default_rng([seed, 7])
    noise = generator.random(len(outlook))
    labels: dict[str, bool] = {}
    given = np.full(len(outlook.question), -1, np.int8)
    clock, learned, judged = 0.0, -1.0, 0
    figures, counts = [], []
    waiting: list[tuple[int, str]] = []
    for minute in MINUTES:
        while clock < 60 * minute:
            if clock - learned >= 60 or not waiting:
                outlook = outlook.told(labels)
                waiting, learned = RULES[rule](outlook, noise), clock
            if not waiting:
                break
            question, kind = waiting.pop(0)
            _judge(case, outlook, question, kind, generator.random() < following, given)
            for answer in outlook.answers(question):
                if given[answer] >= 0:
                    ids = (outlook.features.rollout_ids[row] for row in outlook.rows(answer))
                    labels.update(dict.fromkeys(ids, bool(given[answer])))
            clock, judged = clock + SECONDS[kind], judged + 1
        outlook = outlook.told(labels)
        figures.append(measured(case, outlook))
        counts.append(judged)
    return Run(case.name, rule, following, seed, tuple(figures), tuple(counts))


def _judge(case: Case, outlook: Outlook, question: int, kind: str, follow: bool, given: NDArray[np.int8]) -> None:
    """Enter what a person says: the truth of each answer, or that the majority's is right."""
    answers = list(outlook.answers(question))
    right = {a: _right(case, outlook, a) for a in answers}
    if follow:
        majority = max(answers, key=lambda a: (not outlook.mute[a], outlook.votes[a]))
        right = {a: a == majority and not outlook.mute[a] for a in answers}
    several = bool(outlook.several[answers[0]])
    if kind == "one":
        asked = _top(outlook, question)
        given[asked] = right[asked]
        if not right[asked] or several:
            return
    given[answers] = [right[a] for a in answers]


def _right(case: Case, outlook: Outlook, answer: int) -> bool:
    truth = case.right[outlook.rows(answer)]
    return bool((truth == 1).sum() > (truth == 0).sum())


def _top(outlook: Outlook, question: int) -> int:
    return int(outlook.gains(np.array([question])).asked[0])


def measured(case: Case, outlook: Outlook) -> tuple[float, float]:
    """Group AUC and advantage cosine over all rollouts, judged answers at what was said."""
    beliefs = outlook.beliefs(np.arange(len(outlook)))
    group = beliefs.group
    rows = outlook.rows_of(np.arange(len(outlook)))
    truth = case.right[rows]
    return group_auc(beliefs.right, truth, group), advantage_cosine(beliefs.advantages(), truth, group)


def _open(outlook: Outlook) -> NDArray[np.int64]:
    """Questions with an answer, of which nothing was judged."""
    judged = np.unique(outlook.question[outlook.verdicts >= 0])
    return np.setdiff1d(np.unique(outlook.question[~outlook.mute]), judged)


def _by(score: Callable[[Outlook, NDArray[np.float64]], NDArray[np.float64]], kind: str) -> Rank:
    def rank(outlook: Outlook, noise: NDArray[np.float64]) -> list[tuple[int, str]]:
        scores = score(outlook, noise)
        return [(int(q), kind) for q in sorted(_open(outlook), key=lambda q: -scores[q])]

    return rank


def _shares(outlook: Outlook) -> NDArray[np.float64]:
    """(questions, widest) share of each answer."""
    size = np.bincount(outlook.question, outlook.votes)
    share = outlook.votes / size[outlook.question]
    table = np.zeros((len(outlook), int(np.bincount(outlook.question).max())))
    table[outlook.question, np.arange(len(share)) - outlook.start[outlook.question]] = share
    return table


def _contested(outlook: Outlook, noise: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.abs(_shares(outlook).max(axis=1) - 0.5) + 1e-9 * noise


def _entropy(outlook: Outlook, noise: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = _shares(outlook)
    return -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1) + 1e-9 * noise


def _gain(kinds: Sequence[str]) -> Rank:
    """Rank by what a question of one of these kinds is expected to change in a second of a person's time."""

    def rank(outlook: Outlook, noise: NDArray[np.float64]) -> list[tuple[int, str]]:  # noqa: ARG001
        gains = outlook.gains(np.arange(len(outlook)))
        value = {"whole": gains.whole / SECONDS["whole"], "one": gains.one / SECONDS["one"]}
        best = {k: np.where(gains.asked >= 0, value[k], 0.0) for k in kinds}
        kind = [max(kinds, key=lambda k: best[k][q]) for q in range(len(outlook))]
        rate = np.array([best[k][q] for q, k in enumerate(kind)])
        order = np.argsort(-rate, kind="stable")
        return [(int(q), kind[q]) for q in order if rate[q] > 0]

    return rank


RULES: dict[str, Rank] = {
    "random": _by(lambda _, noise: noise, "whole"),
    "contested": _by(_contested, "whole"),
    "entropy": _by(_entropy, "whole"),
    "variance": _gain(("whole",)),
    "random, one": _by(lambda _, noise: noise, "one"),
    "variance, one": _gain(("one",)),
    "minute": _gain(("whole", "one")),
}
NAMES = {
    "random": "whole questions at random",
    "contested": "whole, majority's share nearest one half",
    "entropy": "whole, entropy of the answers",
    "variance": "whole, variance of the advantage",
    "random, one": "is this answer right? at random",
    "variance, one": "is this answer right? by expected change",
    "minute": "either, by expected change a minute",
}


def page(runs: Sequence[Run], files: Sequence[Path], seeds: int) -> str:
    """The tables as Markdown."""
    lines = [
        "# Labelling: what a minute buys",
        "",
        f"    make label-simulation    # {', '.join(f.name.split('.jsonl')[0] for f in files)}",
        "",
        __doc__.split("\n\n")[2].replace("\n", " ").strip(),
        "",
        f"Files: {len(files)}; questions of each: {QUESTIONS} at most; seeds: {seeds}. Means of files.",
    ]
    for title, place, gains in TARGETS:
        lines += ["", f"## {title[0].upper()}{title[1:]} after so many minutes", ""]
        lines += ["| asked | " + " | ".join(f"{m:g} min" for m in MINUTES) + " |", "|---" * (len(MINUTES) + 1) + "|"]
        for rule, name in NAMES.items():
            values = _means(runs, rule, 0.0)[:, place]
            lines.append(f"| {name} | " + " | ".join(f"{v:.3f}" for v in values) + " |")
        lines += ["", f"Minutes (judgements) until {title} has risen by so much:", ""]
        lines += ["| asked | " + " | ".join(f"+{g:g}" for g in gains) + " |", "|---" * (len(gains) + 1) + "|"]
        for rule, name in NAMES.items():
            lines.append(f"| {name} | " + " | ".join(_until(runs, rule, place, gain) for gain in gains) + " |")
    lines += ["", "## Annotators who follow the majority", ""]
    lines += [
        "With probability q a person says that the most frequent answer is right. Advantage cosine, asked as by",
        "",
    ]
    lines[-2] = lines[-2] + ' "either, by expected change a minute".'
    lines += ["| q | " + " | ".join(f"{m:g} min" for m in MINUTES) + " |", "|---" * (len(MINUTES) + 1) + "|"]
    for following in (0.0, *FOLLOWING):
        values = _means(runs, "minute", following)[:, 1]
        lines.append(f"| {following:g} | " + " | ".join(f"{v:.3f}" for v in values) + " |")
    lines += ["", "## By file: advantage cosine after ten minutes", ""]
    names = sorted({run.file for run in runs})
    lines += ["| file | " + " | ".join(NAMES.values()) + " |", "|---" * (len(NAMES) + 1) + "|"]
    ten = MINUTES.index(10)
    for file in names:
        own = [run for run in runs if run.file == file]
        lines.append(f"| {file} | " + " | ".join(f"{_means(own, r, 0.0)[ten, 1]:.3f}" for r in NAMES) + " |")
    return "\n".join(lines) + "\n"


def _means(runs: Sequence[Run], rule: str, following: float) -> NDArray[np.float64]:
    """(minutes, 2) mean figures."""
    chosen = [run.figures for run in runs if run.rule == rule and run.following == following]
    return np.asarray(np.mean(np.array(chosen), axis=0), np.float64)


def _until(runs: Sequence[Run], rule: str, place: int, gain: float) -> str:
    """Minutes, and judgements, between which the mean figure has risen by so much, by linear interpolation."""
    values = _means(runs, rule, 0.0)[:, place]
    counts = np.mean([run.judgements for run in runs if run.rule == rule and run.following == 0.0], axis=0)
    risen = np.maximum.accumulate(values - values[0])
    if risen[-1] < gain:
        return f"more than {MINUTES[-1]:g}"
    k = int(np.argmax(risen >= gain))
    share = (gain - risen[k - 1]) / (risen[k] - risen[k - 1])
    minutes = MINUTES[k - 1] + share * (MINUTES[k] - MINUTES[k - 1])
    return f"{minutes:.0f} ({counts[k - 1] + share * (counts[k] - counts[k - 1]):.0f})"


if __name__ == "__main__":
    main()
