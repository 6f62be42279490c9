"""`memreward propose`: which questions to label next, and what that is expected to change."""

import shlex

from memreward.cli.common import AsJson, MemoryUri, learns, load_predictor
from memreward.cli.errors import ends_well
from memreward.cli.output import Output, short
from memreward.reward.settings import LearningConfig

_TEXT_SHOWN = 70


@ends_well("Nothing was changed: run the same command again.")
@learns("labels", labels="10")
def propose(
    *,
    memory: MemoryUri,
    as_json: AsJson = False,
    learning: LearningConfig,
) -> None:
    """Print the questions of memory whose label is expected to change most, and ask for no label.

    "Change" is the variance of the question's advantages, summed over its rollouts: what a whole answer to it tells.
    "Cheap" is what judging only the most probable answer, right or wrong, tells of that; "samples" is what the votes of
    eight more rollouts of the same policy would change.

    Examples:
      memreward propose --memory runs/memory
      memreward propose --memory runs/memory --labels 30 --json
    """
    from memreward.answers.choose import MORE, proposals, told_by_sampling
    from memreward.memory import Budget

    output = Output(as_json)
    with output.progress() as steps:
        made = load_predictor(memory, steps)
        groups = {group.query.id: group for group in made.memory.groups() if group.rollouts}
        labelled = set(made.memory.ledger.labelled())
        count = Budget.of(learning.labels).limits(len(groups))[0]
        features = made.featurizer.features([rollout for group in groups.values() for rollout in group.rollouts])
        found = proposals(made.model, features, count, labelled) if groups.keys() - labelled else []
        sampling = told_by_sampling(made.model, features, [p.query_id for p in found]).tolist()
    output.table(
        "Questions to label next",
        ("question", "change", "cheap", "samples", "P(top)", "answers", "text"),
        [
            (p.query_id, p.variance, p.cheap, more, p.top, p.answers, short(groups[p.query_id].query.text, _TEXT_SHOWN))
            for p, more in zip(found, sampling, strict=True)
        ],
    )
    if found:
        output.note(
            "change: how uncertain the question's advantages are; cheap: what judging its most probable answer tells;\n"
            f"samples: what {MORE} more of the same policy would tell"
        )
        output.next(f"label --memory {shlex.quote(memory)} --labels {len(labelled) + len(found)}")
    else:
        output.note("Every question of memory has a label: there is nothing to propose.")
    output.result({"proposals": [{**p._asdict(), "samples": more} for p, more in zip(found, sampling, strict=True)]})
