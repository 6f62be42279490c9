"""What an experiment found, as plain data, as JSON, as tables, and in words."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lab.trainings.outcome import FOREIGN, TEST
from memreward.evaluation.tables import ABSENT, Figure, Table, flat, plain, share_text, signed, with_interval
from memreward.types import DOMAINS, DataError

OURS, ORACLE, LABELLED = "memreward", "oracle", "labelled"
START = "start"
"""In place of an arm: the policy before training."""
MEAN = "mean"
"""In place of a domain: the mean of the domains."""
PARTS: Mapping[str, str] = {TEST: "in domain", FOREIGN: "out of domain"}
REWARD_HEADINGS: Mapping[str, str] = {
    "reward_accuracy": "reward accuracy",
    "group_auc": "group AUC",
    "advantage_cosine": "advantage cosine",
    "live_cosine": "live cosine",
    "live_cosine_vote": "live cosine of majority vote",
    "advantage_mean_abs": "mean size of advantages",
    "truth": "ground truth",
    "predicted": "predicted",
    "abstained": "abstained",
}
"""Figures of a reward in training, each a mean over the steps that have it."""
LEDGER_HEADINGS: Mapping[str, str] = {"judgements": "judgements in the ledger"}
"""What grows over training, and has no mean worth a table."""

METHOD = (
    "Intervals: 95 %, bootstrap over seeds, widened as Student's t asks for so few, and, within each domain, over "
    "held-out questions; every arm meets the same resamples, so differences are paired. Gap closed is (arm - labelled) "
    "/ (oracle - labelled), a ratio of means over each resample; resamples without a gap are left out."
)
"""How the intervals are made."""

ByDomain = Mapping[str, Figure]
"""Domain, or `MEAN` -> figure."""


@dataclass(frozen=True)
class Spread:
    """Mean of the seeds and their standard deviation (n - 1 in the denominator; NaN for one seed)."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Curve:
    """A figure over training: at each step, the mean, the least and the greatest of the seeds."""

    steps: tuple[int, ...]
    mean: tuple[float, ...]
    least: tuple[float, ...]
    greatest: tuple[float, ...]


@dataclass(frozen=True)
class ArmRow:
    """One arm beside the others at one label share. Figures are NaN where they are not defined.

    Attributes:
        arm: Its name.
        says: What it is, in a line.
        ablation: Whether it is ours with one part changed.
        tied: Whether it is another training at another label share.
        labels: Label share of the table it stands in; arms that are not tied to a share stand in each.
        accuracy: By part and domain.
        kinds: In domain, by kind of question: mean of the seeds.
        of_oracle: By part: the mean of the domains as a share of Oracle's.
        gap_closed: By part and domain: (arm - labelled) / (oracle - labelled), a ratio of means over each resample.
            Without an interval where the gap itself is not clearly above 0.
        ours_ahead: By part and domain: ours minus this arm, on the seeds that both have.
        seeds: By seed: mean of the domains by part, and "gap_closed" in domain.
        reward: By name (`REWARD_HEADINGS`): mean over training.
        ledger: By use: "queries" and "judgements", mean of the seeds.
        learning: By part and domain: accuracy over training.
        rewarding: By name (`REWARD_HEADINGS`, `LEDGER_HEADINGS`): the same of the reward.
        seconds: Time of a training.
    """

    arm: str
    says: str
    ablation: bool
    tied: bool
    labels: float
    accuracy: Mapping[str, ByDomain]
    kinds: Mapping[str, float]
    of_oracle: Mapping[str, Figure]
    gap_closed: Mapping[str, ByDomain]
    ours_ahead: Mapping[str, ByDomain]
    seeds: Mapping[int, Mapping[str, float]]
    reward: Mapping[str, Spread]
    ledger: Mapping[str, Mapping[str, float]]
    learning: Mapping[str, Mapping[str, Curve]]
    rewarding: Mapping[str, Curve]
    seconds: Spread


@dataclass(frozen=True)
class TrainingResult:
    """Everything an experiment found.

    Attributes:
        config: Its settings.
        versions: Package -> version.
        gaps: By label share, part and domain: Oracle minus the labelled share alone.
        rows: Every arm at every label share.
    """

    config: Mapping[str, Any]
    versions: Mapping[str, str]
    gaps: Mapping[float, Mapping[str, ByDomain]]
    rows: tuple[ArmRow, ...]

    @property
    def shares(self) -> list[float]:
        """Label shares, ascending."""
        return list(self.gaps)

    def at(self, labels: float) -> list[ArmRow]:
        """Return the rows of one label share."""
        return [row for row in self.rows if row.labels == labels]

    def row(self, arm: str, labels: float) -> ArmRow:
        """Return one row.

        Raises:
            DataError: there is none.
        """
        for row in self.at(labels):
            if row.arm == arm:
                return row
        raise DataError(f"arm {arm!r} was not trained at labels={labels}; there are {[r.arm for r in self.at(labels)]}")

    def domains(self, labels: float, part: str) -> list[str]:
        """Return the domains of a part, without their mean."""
        found = {domain for row in self.at(labels) for domain in row.accuracy[part]}
        return [domain for domain in DOMAINS if domain in found]

    def tables(self, labels: float) -> list[Table]:
        """Return all tables of one label share, the one to read first at the top."""
        return [
            self.headline(labels),
            *(self.by_domain(labels, part) for part in PARTS),
            self.gap_by_domain(labels),
            self.differences(labels),
            self.by_seed(labels),
            self.by_kind(labels),
            self.rewards(labels),
            self.labels_used(labels),
        ]

    def headline(self, labels: float) -> Table:
        """Return accuracy and gap closed in the mean of the domains, one line an arm."""
        rows = self.at(labels)
        columns = ("arm", "what rewards", "in domain", "gap closed", "of Oracle", "out of domain", "gap closed there")
        lines = tuple(
            (
                row.arm,
                row.says,
                with_interval(row.accuracy[TEST][MEAN]),
                _closed(row, TEST),
                _percent(replace(row.of_oracle[TEST], low=math.nan)),
                with_interval(row.accuracy[FOREIGN][MEAN]),
                _closed(row, FOREIGN),
            )
            for row in rows
        )
        return Table(
            f"{_labelled(labels)}: accuracy, mean of the domains",
            columns,
            lines,
            _best(
                rows, {2: lambda row: row.accuracy[TEST][MEAN].value, 5: lambda row: row.accuracy[FOREIGN][MEAN].value}
            ),
            frozenset({1}),
        )

    def by_domain(self, labels: float, part: str) -> Table:
        """Return accuracy in each domain of a part, and its mean as a share of Oracle's."""
        rows, domains = self.at(labels), [*self.domains(labels, part), MEAN]
        lines = tuple(
            (row.arm, *(with_interval(row.accuracy[part][d]) for d in domains), _percent(row.of_oracle[part]))
            for row in rows
        )
        best = _best(rows, {i: _accuracy_in(part, domain) for i, domain in enumerate(domains, start=1)})
        columns = ("arm", *domains, "mean of Oracle's")
        return Table(f"{_labelled(labels)}: accuracy {PARTS[part]}", columns, lines, best)

    def gap_by_domain(self, labels: float) -> Table:
        """Return the share of the gap that is closed, in each domain and out of domain."""
        domains = [*self.domains(labels, TEST), MEAN]
        lines = [
            (
                row.arm,
                *(with_interval(row.gap_closed[TEST][domain], 2) for domain in domains),
                with_interval(row.gap_closed[FOREIGN][MEAN], 2),
            )
            for row in self.at(labels)
            if row.arm not in (ORACLE, LABELLED)
        ]
        gaps = self.gaps[labels]
        own = ("(the gap)", *(signed(gaps[TEST][domain]) for domain in domains), signed(gaps[FOREIGN][MEAN]))
        title = f"{_labelled(labels)}: share of the gap from {LABELLED} to {ORACLE} that is closed"
        return Table(title, ("arm", *domains, "out of domain"), (*lines, own))

    def differences(self, labels: float) -> Table:
        """Return ours minus each other arm, paired."""
        domains = [*self.domains(labels, TEST), MEAN]
        lines = tuple(
            (
                row.arm,
                *(signed(row.ours_ahead[TEST][domain]) for domain in domains),
                signed(row.ours_ahead[FOREIGN][MEAN]),
            )
            for row in self.at(labels)
            if row.arm != OURS
        )
        return Table(f"{_labelled(labels)}: {OURS} minus the arm", ("arm", *domains, "out of domain"), lines)

    def by_seed(self, labels: float) -> Table:
        """Return every seed's own accuracy in the mean of the domains, their spread, and each one's gap closed."""
        rows = self.at(labels)
        seeds = sorted({seed for row in rows for seed in row.seeds})
        columns = ("arm", *(f"seed {seed}" for seed in seeds), "deviation", "gap closed, by seed")
        lines = tuple(
            (
                row.arm,
                *(_number(row.seeds.get(seed, {}).get(TEST, math.nan)) for seed in seeds),
                _number(spread([own[TEST] for own in row.seeds.values()]).deviation),
                ABSENT
                if row.arm in (ORACLE, LABELLED)
                else " ".join(_number(row.seeds.get(seed, {}).get("gap_closed", math.nan), 2) for seed in seeds),
            )
            for row in rows
        )
        return Table(f"{_labelled(labels)}: every seed, in domain, mean of the domains", columns, lines)

    def by_kind(self, labels: float) -> Table:
        """Return accuracy in domain by kind of question: an arm a column."""
        rows = self.at(labels)
        lines = tuple((kind, *(_number(row.kinds[kind]) for row in rows)) for kind in rows[0].kinds)
        title = f"{_labelled(labels)}: accuracy in domain by kind of question, mean of the seeds"
        return Table(title, ("kind", *(row.arm for row in rows)), lines)

    def rewards(self, labels: float) -> Table:
        """Return how good the rewards were against ground truth, in the mean over training."""
        lines = tuple(
            (row.arm, *(_spread(row.reward[name]) for name in REWARD_HEADINGS), _spread(row.seconds, 0))
            for row in self.at(labels)
            if row.rewarding
        )
        title = f"{_labelled(labels)}: the rewards in training, mean over its steps ± deviation of the seeds"
        return Table(title, ("arm", *REWARD_HEADINGS.values(), "seconds"), lines)

    def labels_used(self, labels: float) -> Table:
        """Return what the ledger counted, by use."""
        rows = [row for row in self.at(labels) if row.ledger]
        uses = sorted({use for row in rows for use in row.ledger})
        columns = ("arm", *(f"{use}: {unit}" for use in uses for unit in ("queries", "judgements")))
        lines = tuple(
            (
                row.arm,
                *(
                    f"{row.ledger[use][unit]:.0f}" if use in row.ledger else ABSENT
                    for use in uses
                    for unit in ("queries", "judgements")
                ),
            )
            for row in rows
        )
        return Table(f"{_labelled(labels)}: label ledger, mean of the seeds", columns, lines)

    def label_curve(self) -> Table:
        """Return accuracy in domain and gap closed over the label shares."""
        columns = (
            "arm",
            *(f"{share_text(share)}: {what}" for share in self.shares for what in ("accuracy", "gap closed")),
        )
        arms = list(dict.fromkeys(row.arm for row in self.rows))
        of = {(row.arm, row.labels): row for row in self.rows}
        lines = []
        for arm in arms:
            cells = [arm]
            for share in self.shares:
                row = of.get((arm, share))
                cells += [with_interval(row.accuracy[TEST][MEAN]), _closed(row, TEST)] if row else [ABSENT, ABSENT]
            lines.append(tuple(cells))
        return Table("By label share: in domain, mean of the domains", columns, tuple(lines))

    def standing(self, labels: float) -> list[str]:
        """Say, from the numbers, which arms ours does not beat, in a few sentences."""
        rows = {row.arm: row for row in self.at(labels)}
        if OURS not in rows:
            return [f"{_labelled(labels)}: {OURS} was not trained, so nothing is compared with it."]
        return list(_standing(self, rows, labels))

    def notes(self, labels: float) -> list[str]:
        """Say what the figures rest on, and what is missing."""
        rows = self.at(labels)
        missing = [arm for arm in (ORACLE, LABELLED) if arm not in {row.arm for row in rows}]
        seeds = {row.arm: sorted(row.seeds) for row in rows}
        all_seeds = sorted({seed for own in seeds.values() for seed in own})
        found = []
        if missing:
            found.append(f"No gap is measured: {' and '.join(missing)} was not trained.")
        else:
            gaps = self.gaps[labels]
            found.append(
                "Gap from the labelled share alone to Oracle: "
                + ", ".join(f"{signed(gaps[part][MEAN])} {name}" for part, name in PARTS.items())
                + ". Where the gap's own interval reaches 0, the share of it that is closed has no interval."
            )
        found += [
            f"{arm} has {len(own)} of {len(all_seeds)} seeds; differences and gaps use the seeds that both have."
            for arm, own in seeds.items()
            if own != all_seeds
        ]
        if len(all_seeds) == 1:
            found.append("One seed: the intervals know of the spread over questions alone.")
        return found

    def markdown(self, pictures: Mapping[float | None, str] | None = None) -> str:
        """Return everything as Markdown.

        Args:
            pictures: Markdown to show with each label share; under None, with all of them.
        """
        shown = pictures or {}
        parts = []
        for share in self.shares:
            first, *others = self.tables(share)
            said = "\n".join(f"- {sentence}" for sentence in self.standing(share))
            parts += [first.markdown(), said, *self.notes(share), shown.get(share, "")]
            parts += [table.markdown() for table in others]
        if len(self.shares) > 1:
            parts += [self.label_curve().markdown(), shown.get(None, "")]
        settings = "\n".join(f"    {name} = {value}" for name, value in flat(self.config).items())
        parts += [METHOD, f"Settings:\n\n{settings}" if settings else ""]
        return "\n\n".join(part.strip() for part in parts if part) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; NaN is null."""
        record: dict[str, Any] = plain(asdict(self))
        return record

    def save(self, path: str | Path) -> None:
        """Write as JSON."""
        Path(path).write_text(json.dumps(self.to_dict(), allow_nan=False) + "\n", encoding="utf-8")


def spread(figures: Sequence[float]) -> Spread:
    """Return mean and standard deviation of what is defined."""
    known = [figure for figure in figures if not math.isnan(figure)]
    if not known:
        return Spread(math.nan, math.nan)
    mean = math.fsum(known) / len(known)
    if len(known) == 1:
        return Spread(mean, math.nan)
    return Spread(mean, math.sqrt(math.fsum((figure - mean) ** 2 for figure in known) / (len(known) - 1)))


def _standing(result: TrainingResult, rows: Mapping[str, ArmRow], labels: float) -> Iterator[str]:
    others = [row for row in rows.values() if row.arm not in (OURS, ORACLE)]
    rivals = [row for row in others if not row.ablation]
    yield f"In the mean of the domains: {_against(rivals, TEST, 'every other arm but Oracle')}."
    ablations = [row for row in others if row.ablation]
    if ablations:
        yield f"Against its own ablations: {_against(ablations, TEST, 'each of them')}."
    if ORACLE in rows:
        yield f"Oracle minus {OURS} is {signed(_turned(rows[ORACLE].ours_ahead[TEST][MEAN]))}."
    yield f"Out of domain: {_against(others, FOREIGN, 'every other arm but Oracle')}."
    unbeaten = {
        domain: [row.arm for row in rivals if not row.ours_ahead[TEST][domain].low > 0]
        for domain in result.domains(labels, TEST)
    }
    named = "; ".join(f"{', '.join(arms)} in {domain}" for domain, arms in unbeaten.items() if arms)
    yield (
        f"In single domains it does not beat {named}."
        if named
        else "It beats every other arm but Oracle in each domain."
    )


def _against(rows: Sequence[ArmRow], part: str, all_of_them: str) -> str:
    """Name the arms that ours loses to and those it is level with, with intervals."""
    found = {row.arm: row.ours_ahead[part][MEAN] for row in rows}
    ahead = {arm: figure for arm, figure in found.items() if not math.isnan(figure.value)}
    apart = [arm for arm in found if arm not in ahead]
    said = [f"there is no seed to compare {', '.join(apart)} by"] if apart else []
    lost = [f"{arm} ({signed(figure)})" for arm, figure in ahead.items() if figure.high < 0]
    level = [f"{arm} ({signed(figure)})" for arm, figure in ahead.items() if figure.low <= 0 <= figure.high]
    if not lost and not level and not apart:
        return f"{OURS} is ahead of {all_of_them}" if ahead else "there is nothing to compare with"
    if lost:
        said.append(f"{OURS} loses to {', '.join(lost)}")
    if level:
        said.append(f"{OURS} is level with {', '.join(level)}")
    won = [arm for arm, figure in ahead.items() if figure.low > 0]
    if won:
        said.append(f"it is ahead of {', '.join(won)}")
    return "; ".join(said)


def _closed(row: ArmRow, part: str) -> str:
    """The gap closed in the mean of the domains; by definition 0 and 1 for the two ends of the gap."""
    figure = row.gap_closed[part][MEAN]
    if row.arm in (LABELLED, ORACLE) and not math.isnan(figure.value):
        return f"{figure.value:.0f}"
    return with_interval(figure, 2)


def _turned(figure: Figure) -> Figure:
    return Figure(-figure.value, -figure.high, -figure.low)


def _accuracy_in(part: str, domain: str) -> Callable[[ArmRow], float]:
    return lambda row: row.accuracy[part][domain].value


def _best(rows: Sequence[ArmRow], columns: Mapping[int, Callable[[ArmRow], float]]) -> frozenset[tuple[int, int]]:
    """The best cell of each column, Oracle aside: it reads all labels."""
    found = set()
    for column, of in columns.items():
        shown = {y: round(of(row), 3) for y, row in enumerate(rows) if row.arm != ORACLE and not math.isnan(of(row))}
        found |= {(y, column) for y, value in shown.items() if value == max(shown.values())}
    return frozenset(found)


def _labelled(labels: float) -> str:
    return f"{share_text(labels)} labelled" if labels else "No label share"


def _number(value: float, digits: int = 3) -> str:
    return ABSENT if math.isnan(value) else f"{value:.{digits}f}"


def _percent(figure: Figure) -> str:
    if math.isnan(figure.value):
        return ABSENT
    if math.isnan(figure.low) or figure.low == figure.high:
        return f"{figure.value:.1%}"
    return f"{figure.value:.1%} [{figure.low:.1%}, {figure.high:.1%}]"


def _spread(figure: Spread, digits: int = 3) -> str:
    shown = _number(figure.mean, digits)
    return shown if math.isnan(figure.deviation) else f"{shown} ± {figure.deviation:.{digits}f}"
