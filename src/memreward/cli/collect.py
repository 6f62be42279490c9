"""`memreward collect`: questions in, a file of sampled rollouts out."""

from pathlib import Path

from memreward.cli.common import AsJson, check_file
from memreward.cli.errors import ends_well
from memreward.cli.options import options_from
from memreward.cli.output import Output
from memreward.policy.collect import CollectConfig
from memreward.types import Group


@ends_well("Finished groups are kept in the journal: run the same command again to go on from there.")
@options_from("settings", CollectConfig, panel="Collecting", names={"output": "out", "sampling": "", "endpoint": ""})
def collect(*, as_json: AsJson = False, settings: CollectConfig) -> None:
    """Sample groups of rollouts from a language model into a rollout file.

    The model runs in this process, or on a server that speaks OpenAI's protocol (--url): vLLM, SGLang, llama.cpp,
    Ollama. The server's key is read from the environment variable MEMREWARD_API_KEY.

    An interrupted run goes on where it stopped when the same command is given again.

    Examples:
      memreward collect --model checkpoints/qwen --out rollouts.jsonl.gz --questions questions.jsonl
      memreward collect --model checkpoints/qwen --out rollouts.jsonl.gz --questions questions.jsonl:100 --rollouts 16
      memreward collect --url http://localhost:8000/v1 --model Qwen2.5-7B --questions questions.jsonl --out out.jsonl
    """
    from memreward.data import read_groups
    from memreward.memory import measured
    from memreward.policy.collect import collect as sample_rollouts
    from memreward.training.quiet import quiet_libraries

    output = Output(as_json)
    check_file(Path(settings.output))
    if not settings.endpoint.url:
        quiet_libraries()
    with output.progress() as steps:
        path = sample_rollouts(settings, progress=steps)
    groups = list(read_groups(path))
    verdicts = list(measured(groups).values())
    rollouts = sum(len(group.rollouts) for group in groups)
    report = {
        "out": path,
        "queries": len(groups),
        "rollouts": rollouts,
        "pass_rate": sum(verdicts) / len(verdicts) if verdicts else None,
        "distinct": sum(_texts(group) for group in groups) / max(rollouts, 1),
    }
    if settings.sampling.temperature > 0 and rollouts > len(groups) == sum(_texts(group) for group in groups):
        output.note(
            "Every rollout of a question has the same text. The server may ignore the temperature (transformers "
            "serve does only where the model's generation_config.json says do_sample); such groups teach nothing."
        )
    output.table("Collected", tuple(name.replace("_", " ") for name in report), [tuple(report.values())])
    output.result(report)


def _texts(group: Group) -> int:
    return len({rollout.text for rollout in group.rollouts})
