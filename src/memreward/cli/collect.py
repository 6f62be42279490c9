"""`memreward collect`: questions in, a file of sampled rollouts out."""

from __future__ import annotations

from memreward.cli.common import AsJson
from memreward.cli.errors import ends_well
from memreward.cli.options import Changes, options_from
from memreward.cli.output import Output
from memreward.policy.collect import CollectConfig


@ends_well("Finished groups are kept in the journal: run the same command again to go on from there.")
@options_from("settings", CollectConfig, panel="Collecting", names={"output": "out", "sampling": "", "local": ""})
def collect(*, as_json: AsJson = False, settings: Changes[CollectConfig]) -> None:
    """Sample groups of rollouts from a local causal language model into a rollout file.

    An interrupted run goes on where it stopped when the same command is given again.

    Examples:
      memreward collect --model checkpoints/qwen --out rollouts.jsonl.gz --questions gsm_symbolic:200
      memreward collect --model checkpoints/qwen --out rollouts.jsonl.gz --questions questions.jsonl:100 --rollouts 16
    """
    from memreward.data import read_groups
    from memreward.policy.collect import collect as sample_rollouts

    output = Output(as_json)
    path = sample_rollouts(settings.made())
    groups = list(read_groups(path))
    verdicts = [verdict for group in groups for verdict in group.truth.correct if verdict is not None]
    report = {
        "out": path,
        "queries": len(groups),
        "rollouts": sum(len(group.rollouts) for group in groups),
        "pass_rate": sum(verdicts) / len(verdicts) if verdicts else None,
    }
    output.table("Collected", tuple(name.replace("_", " ") for name in report), [tuple(report.values())])
    output.result(report)
