"""`memreward train`: a model, questions and a label budget in, a trained policy out."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memreward.cli.common import AsJson, check_extra
from memreward.cli.errors import ends_well
from memreward.cli.label import check_page, serving
from memreward.cli.options import Changes, options_from, read_tables, values_of
from memreward.cli.output import Output, Steps
from memreward.training.config import TrainConfig
from memreward.training.quiet import quiet_libraries

if TYPE_CHECKING:
    from memreward.memory import ExperienceMemory

_TRL = ("trl",)
"""Settings that a file and options give together."""


@ends_well("Run the same command again to go on from the newest checkpoint.")
@options_from(
    "settings",
    TrainConfig,
    panel="Training",
    names={"output": "out", "sampling": "", "grpo": ""},
    leave_out=("verify",),
)
def train(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="TOML file with the same settings; options overrule it.", metavar="FILE"),
    ] = None,
    *,
    as_json: AsJson = False,
    settings: Changes[TrainConfig],
) -> None:
    """Train a policy with GRPO on rewards for which only a share of the questions is labelled.

    Settings come from a TOML file, from options, or both: a nested setting stands in a table there (steps = 100 under
    [grpo]) and has an option of its own here (--steps 100). The table [verify] is of the file alone.
    What TRL's GRPOConfig can do beside stands in the table [trl], or in --trl: bf16, use_vllm, report_to and others.

    With --ask, the questions whose labels would help most wait on a page while it trains; its address is printed.

    Ctrl-C finishes the step and writes a checkpoint. The same command goes on from the newest one, also after a kill.

    Examples:
      memreward train --config examples/training/qwen2.5-1.5b_one-gpu.toml --out runs/policy
      memreward train --model Qwen/Qwen2.5-0.5B-Instruct --questions questions.jsonl:500 --out runs/lora --lora-rank 8
      memreward train --config train.toml --out runs/asked --ask
      memreward train --config train.toml --arm labelled --out runs/labelled --trl use_vllm=true --trl report_to=wandb
    """
    output = Output(as_json)
    started = time.monotonic()
    given = values_of(read_tables(config), TrainConfig, str(config)) if config else {}
    of_trl = {**given.get(_TRL, {}), **settings.values.get(_TRL, {})}
    made = Changes(TrainConfig, {**given, **settings.values, _TRL: of_trl}).made()
    if made.ask:
        check_page()
    quiet_libraries()
    with output.progress() as steps:
        report = _trained(made, steps, output)
    if os.environ.get("RANK", "0") != "0":
        return  # of several processes one reports
    report["seconds"] = round(time.monotonic() - started, 1)
    shown = {name: value for name, value in report.items() if name != "ledger"}
    output.table("Trained", ("", ""), [(name.replace("_", " "), value) for name, value in shown.items()])
    output.result(report)


def _trained(config: TrainConfig, steps: Steps, output: Output) -> dict[str, Any]:
    check_extra("trl", "train", "training")
    from memreward.training.history import mean_reward
    from memreward.training.session import leave_group
    from memreward.training.session import train as run

    def show(row: dict[str, Any]) -> None:
        mean = mean_reward(row)
        steps("training", row["step"], config.grpo.steps, "" if mean is None else f"reward {mean:.3f}")

    try:
        return run(config, progress=steps, on_row=show, on_wait=partial(_open_page, output, config.prior))
    finally:
        leave_group()


def _open_page(output: Output, prior: str, memory: ExperienceMemory) -> None:
    from memreward.label.start import AT_ONCE, begin

    def serve() -> None:
        address, run = serving(begin(memory, prior=prior, at_once=AT_ONCE, background=True))
        output.note(f"Questions wait for a label at {address}")
        run()

    threading.Thread(target=serve, name="labelling page", daemon=True).start()
