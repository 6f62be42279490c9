"""Train a real language model with three kinds of reward: ground truth for all, for a fifth, and ours for the rest.

    python benchmarks/real_llm.py MODEL --out runs/real-llm --markdown benchmarks/results/real-llm.md

GRPO with low-rank adapters on two-step word problems from reasoning-gym: 64 to train on, 48 held out, with other
numbers; 4 groups of 8 rollouts a step; labels chosen by what they tell (`--choose spread`). Hours on two cores. Stop it
at any time: the same command goes on from the newest checkpoint. In the end it samples answers to the held-out
questions from the checkpoints, and writes table and picture.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memreward.data import load_questions
from memreward.policy.local import LocalSampler
from memreward.policy.prompts import load_template
from memreward.policy.sampler import Chat
from memreward.policy.settings import LocalConfig, SamplingConfig
from memreward.testbed.measure import accuracy, groups_of_samples
from memreward.training.checkpoint import checkpoints, step_of_checkpoint
from memreward.training.config import TrainConfig
from memreward.training.history import history
from memreward.training.session import train
from memreward.training.settings import GrpoSettings, LoraConfig
from memreward.types import Group
from memreward.verify import Verifiers

ARMS = ("memreward", "oracle", "labelled")
FAMILY = "two_step"
TRAIN, HELD_OUT, ANSWERS, LENGTH, TEMPERATURE = 64, 48, 4, 64, 0.8
ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj")
RESAMPLES = 2000


def main() -> None:
    options = parse_options()
    out = Path(options.out)
    for arm in options.arms.split(","):
        config = settings(options, arm)
        print(f"{arm}: training to step {options.steps} in {config.output}", flush=True)
        begun = time.monotonic()
        train(config, on_row=lambda row, begun=begun: show(row, options.steps, begun))
    measured = measure_all(out, options)
    report = describe(measured, out, options)
    print(report)
    if options.markdown:
        target = Path(options.markdown)
        draw(measured, target.with_suffix(".png"))
        target.write_text(report, encoding="utf-8")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="checkpoint folder of Qwen2.5-Coder-0.5B-Instruct, or of another instruct model")
    parser.add_argument("--out", default="runs/real-llm", help="folder for the trainings")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=20, help="steps between two measured checkpoints")
    parser.add_argument("--markdown", help="write the table here, and the picture beside it")
    return parser.parse_args()


def settings(options: argparse.Namespace, arm: str) -> TrainConfig:
    grpo = GrpoSettings(
        steps=options.steps,
        groups_per_step=4,
        rollouts=8,
        max_new_tokens=LENGTH,
        temperature=TEMPERATURE,
        learning_rate=1e-4,
        kl=0.0,
        share_prompts=True,
        precision="bfloat16",
        save_every=2,
        seed=options.seed,
        lora=LoraConfig(rank=16, targets=ADAPTED),
    )
    return TrainConfig(
        model=options.model,
        output=str(Path(options.out) / arm),
        questions=(f"{FAMILY}:{TRAIN}",),
        labels=0.2,
        choose="spread",
        arm=arm,
        reader="policy",
        keep_checkpoints=options.steps,
        grpo=grpo,
    )


def show(row: Mapping[str, Any], steps: int, begun: float) -> None:
    reward = row.get("memreward/reward", row.get("reward"))
    print(f"  step {row['step']} of {steps}, reward {reward:.3f}, {time.monotonic() - begun:.0f} s", flush=True)


def measure_all(out: Path, options: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """Accuracy by query id, by step, by arm; what was measured before is read again."""
    kept = out / "measured.json"
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    trained_on = {group.query.text for group in load_questions(f"{FAMILY}:{TRAIN}", seed=options.seed)}
    others = load_questions(f"{FAMILY}:{2 * HELD_OUT}", seed=options.seed + 1)
    held_out = [group for group in others if group.query.text not in trained_on][:HELD_OUT]
    wanted = {("start", 0): Path(options.model)}
    for arm in options.arms.split(","):
        for checkpoint in checkpoints(out / arm):
            if (step := step_of_checkpoint(checkpoint)) % options.every == 0:
                wanted[arm, step] = checkpoint
    for (arm, step), policy in wanted.items():
        if str(step) not in found.setdefault(arm, {}):
            print(f"measuring {arm} at step {step}", flush=True)
            found[arm][str(step)] = measure(policy, held_out)
            kept.write_text(json.dumps(found), encoding="utf-8")
    return found


def measure(policy: Path, questions: Sequence[Group]) -> dict[str, float]:
    sampling = SamplingConfig(str(policy), ANSWERS, TEMPERATURE, 1.0, LENGTH, 0)
    sampler = LocalSampler(sampling, LocalConfig(dtype="bfloat16"))
    chats = []
    for group in questions:
        template = load_template(group.query)
        chats.append(Chat(group.query.id, template.name, template.messages(group.query.text)))
    samples = {done.id: done.samples for done in sampler.sample(sampler.prompts(chats))}
    return accuracy(Verifiers().judge(groups_of_samples(questions, samples)))


def interval(by_query: Mapping[str, float]) -> tuple[float, float, float]:
    """Mean over questions, and its 95 % bootstrap interval."""
    values = np.array(list(by_query.values()))
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def describe(measured: Mapping[str, Mapping[str, Mapping[str, float]]], out: Path, options: argparse.Namespace) -> str:
    start = measured["start"]["0"]
    lines = [
        "# A real language model",
        "",
        f"    make real-llm MODEL=FOLDER    # {Path(options.model).name}",
        "",
        f"GRPO with low-rank adapters, {options.steps} steps of 4 groups x 8 rollouts, {TRAIN} two-step word problems, "
        "a fifth of them labelled, which are chosen by what they tell; accuracy on "
        f"{HELD_OUT} held-out ones, {ANSWERS} answers each at temperature {TEMPERATURE}, seed {options.seed}. "
        "Intervals are a bootstrap over questions alone: one training an arm.",
        "",
        "| arm | step | accuracy held-out | seconds a step |",
        "|---|---|---|---|",
        "| start | 0 | {:.3f} [{:.3f}, {:.3f}] | |".format(*interval(start)),
    ]
    for arm in options.arms.split(","):
        rows = history(out / arm)
        seconds = f"{np.median([row['step_time'] for row in rows if 'step_time' in row]):.0f}" if rows else ""
        for step in sorted(map(int, measured.get(arm, {}))):
            figures = "{:.3f} [{:.3f}, {:.3f}]".format(*interval(measured[arm][str(step)]))
            lines.append(f"| {arm} | {step} | {figures} | {seconds} |")
    return "\n".join([*lines, "", f"![Accuracy over training]({Path(options.markdown or 'real-llm').stem}.png)", ""])


def draw(measured: Mapping[str, Mapping[str, Mapping[str, float]]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    start = interval(measured["start"]["0"])
    for number, arm in enumerate(name for name in measured if name != "start"):
        steps = sorted(map(int, measured[arm]))
        points = [start, *(interval(measured[arm][str(step)]) for step in steps)]
        at = np.array([0, *steps]) + 0.4 * (number - 1)
        mean, low, high = np.array(points).T
        axes.errorbar(at, mean, np.abs([mean - low, high - mean]), label=arm, marker="o", capsize=3)
    axes.set(xlabel="steps", ylabel="accuracy on held-out questions", ylim=(0, 1))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
