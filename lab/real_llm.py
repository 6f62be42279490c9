"""Train a real language model with three kinds of reward: ground truth for all, for a fifth, and ours for the rest.

    python -m lab.real_llm MODEL --out runs/real-llm --results benchmarks/results/real-llm

GRPO with low-rank adapters on two-step word problems from reasoning-gym: 64 to train on, 48 held out, with other
numbers; 4 groups of 8 rollouts a step; labels as `memreward propose` has them. Hours on two cores.
Stop it at any time: the same command goes on from the newest checkpoint. In the end it samples answers to the held-out
questions from the checkpoints. What an arm came to is one JSON file among the results, and an arm that has one is not
trained again: delete the file for that. Table and picture are made of these files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lab import families
from lab.decoding.decoder import GroupDecoder
from lab.decoding.rollouts import group_trainer
from lab.testbed.measure import accuracy, groups_of_samples
from lab.trl_prompts import prompt_sharing_trainer
from memreward.data import write_groups
from memreward.domains import Verifiers
from memreward.evaluation.metrics import interval as percentile_interval
from memreward.evaluation.metrics import resample_queries
from memreward.memory import sealed_verdicts
from memreward.policy.prompts import load_template
from memreward.policy.sampler import Chat
from memreward.policy.settings import SamplingConfig
from memreward.temporary import write_whole
from memreward.training.checkpoint import checkpoints, step_of_checkpoint
from memreward.training.config import ARMS as ARM_SETTINGS
from memreward.training.config import TrainConfig
from memreward.training.history import history, mean_reward
from memreward.training.quiet import quiet_libraries
from memreward.training.session import train
from memreward.training.settings import GrpoSettings
from memreward.types import Group

ARMS = ("memreward", "labelled", "oracle")
FAMILY = "two_step"
TRAIN, HELD_OUT, ANSWERS, LENGTH, TEMPERATURE = 64, 48, 4, 64, 0.8
ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj")
RESAMPLES, SMOOTH = 2000, 8
START, OURS = "start", "memreward"
COLOURS = {"oracle": ("#222222", "-"), "labelled": ("#222222", "--"), OURS: ("#d55e00", "-")}
LOGGED = (
    *("step", "step_time", "reward", "completions/mean_length", "completions/clipped_ratio"),
    *(f"memreward/{name}" for name in ("reward", "truth", "predicted", "abstained", "seconds")),
    *(f"memreward/live/{name}" for name in ("predicted", "true", "cosine", "cosine_vote")),
)


def main() -> None:
    import peft

    options = parse_options()
    quiet_libraries()
    results = Path(options.results)
    results.mkdir(parents=True, exist_ok=True)
    of = identity(options)
    refuse_others(results, of)
    held_out = held_out_questions(options.seed)
    if not (results / f"{START}.json").exists():
        keep(results, START, of, {"0": measure(Path(options.model), held_out)}, [])
    for arm in options.arms.split(","):
        if (results / f"{arm}.json").exists():
            continue
        config = settings(options, arm)
        print(f"{arm}: training to step {options.steps} in {config.output}", flush=True)
        begun = time.monotonic()
        lora = peft.LoraConfig(r=16, lora_alpha=32, target_modules=list(ADAPTED), task_type="CAUSAL_LM")
        trainer = group_trainer(prompt_sharing_trainer(), options.seed, peft_config=lora)
        train(config, on_row=partial(show, steps=options.steps, begun=begun), trainer=trainer, choose="advantage")
        keep(results, arm, of, measure_all(Path(config.output), options.every, held_out), history(config.output))
    found = {
        arm: json.loads(path.read_text(encoding="utf-8"))
        for arm in (START, *ARMS)
        if (path := results / f"{arm}.json").exists()
    }
    report = describe(found, options)
    print(report)
    draw(found, results.with_suffix(".png"))
    results.with_suffix(".md").write_text(report, encoding="utf-8")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="checkpoint folder of Qwen2.5-Coder-0.5B-Instruct, or of another instruct model")
    parser.add_argument("--out", default="runs/real-llm", help="folder for the trainings")
    parser.add_argument(
        "--results",
        default="runs/real-llm/results",
        help="folder for what they come to; table and picture lie beside it",
    )
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=20, help="steps between two measured checkpoints")
    options = parser.parse_args()
    if not 0 < options.every <= options.steps:
        parser.error(f"--every {options.every} must lie between 1 and --steps {options.steps}")
    return options


def held_out_questions(seed: int) -> list[Group]:
    trained_on = {group.query.text for group in families.load(f"{FAMILY}:{TRAIN}", seed)}
    others = families.load(f"{FAMILY}:{2 * HELD_OUT}", seed + 1)
    return [group for group in others if group.query.text not in trained_on][:HELD_OUT]


def identity(options: argparse.Namespace) -> dict[str, Any]:
    """What decides the results beside the arm: the weights and the settings."""
    files = sorted(Path(options.model).glob("*.safetensors"))
    if not files:
        raise SystemExit(f"{options.model} holds no *.safetensors: name the folder of a checkpoint")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as weights:
            digest.update(hashlib.file_digest(weights, "sha256").digest())
    return {"weights": digest.hexdigest()[:12], "steps": options.steps, "seed": options.seed, "every": options.every}


def refuse_others(results: Path, of: Mapping[str, Any]) -> None:
    for path in results.glob("*.json"):
        if (there := json.loads(path.read_text(encoding="utf-8"))["of"]) != of:
            raise SystemExit(f"{path} is of {there}, not of {dict(of)}: delete it, or choose other --results")


def keep(
    results: Path,
    arm: str,
    of: Mapping[str, Any],
    accuracy: Mapping[str, Mapping[str, float]],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Write what it is of, accuracy by query id and step, and what was logged of each step."""
    steps = [{name: row[name] for name in LOGGED if name in row} for row in rows]
    write_whole(results / f"{arm}.json", json.dumps({"of": of, "accuracy": accuracy, "steps": steps}) + "\n")


def settings(options: argparse.Namespace, arm: str) -> TrainConfig:
    asked = Path(options.out) / "questions.jsonl"
    write_groups(asked, families.load(f"{FAMILY}:{TRAIN}", options.seed))
    return TrainConfig(
        output=str(Path(options.out) / arm),
        questions=(str(asked),),
        templates=str(families.TEMPLATES),
        labels="20%",
        arm=arm,
        sampling=SamplingConfig(options.model, 8, TEMPERATURE, 1.0, LENGTH, options.seed),
        grpo=GrpoSettings(steps=options.steps, groups_per_step=4, lora_rank=16),
        trl={"bf16": True, "learning_rate": 1e-4, "beta": 0.0, "save_steps": 2, "save_total_limit": None},
    )


def show(row: Mapping[str, Any], steps: int, begun: float) -> None:
    reward, taken = mean_reward(row), time.monotonic() - begun
    said = "no reward" if reward is None else f"reward {reward:.3f}"
    print(f"  step {row['step']} of {steps}, {said}, {taken:.0f} s", flush=True)


def measure_all(folder: Path, every: int, held_out: Sequence[Group]) -> dict[str, dict[str, float]]:
    """Accuracy by query id, by step of a checkpoint; what was measured before is read again."""
    kept = folder / "measured.json"
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for checkpoint in checkpoints(folder):
        step = step_of_checkpoint(checkpoint)
        if step % every == 0 and str(step) not in found:
            print(f"measuring step {step}", flush=True)
            found[str(step)] = measure(checkpoint, held_out)
            kept.write_text(json.dumps(found), encoding="utf-8")
    return dict(found)


def measure(policy: Path, questions: Sequence[Group]) -> dict[str, float]:
    sampling = SamplingConfig(str(policy), ANSWERS, TEMPERATURE, 1.0, LENGTH, 0)
    sampler = GroupDecoder(sampling, dtype="bfloat16")
    chats = []
    for group in questions:
        template = load_template(group.query, str(families.TEMPLATES))
        chats.append(Chat(group.query.id, template.name, template.messages(group.query.text)))
    samples = {done.id: done.samples for done in sampler.sample(sampler.prompts(chats))}
    return accuracy(sealed_verdicts(groups_of_samples(questions, samples), Verifiers()))


def resampled(by_query: Mapping[str, float]) -> np.ndarray:
    """(1 + B,) mean over questions, the plain one first; every arm meets the same resamples."""
    values = np.array([by_query[name] for name in sorted(by_query)])
    weights = resample_queries(len(values), RESAMPLES)
    return np.concatenate([[values.mean()], weights @ values / len(values)])


def interval(figures: np.ndarray) -> tuple[float, float, float]:
    """The plain figure, and its 95 % bootstrap interval."""
    found = percentile_interval(figures[1:])
    return float(figures[0]), found.low, found.high


def describe(found: Mapping[str, Mapping[str, Any]], options: argparse.Namespace) -> str:
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
        "| arm | what rewards | step | accuracy held-out | minus the start | seconds a step |",
        "|---|---|---|---|---|---|",
    ]
    start = resampled(found[START]["accuracy"]["0"])
    for arm, one in found.items():
        says = "the policy before training" if arm == START else ARM_SETTINGS[arm].says
        seconds = f"{np.median([row['step_time'] for row in one['steps']]):.0f}" if one["steps"] else ""
        for step, by_query in one["accuracy"].items():
            right = resampled(by_query)
            apart = "" if arm == START else "{:+.3f} [{:+.3f}, {:+.3f}]".format(*interval(right - start))
            figures = "{:.3f} [{:.3f}, {:.3f}]".format(*interval(right))
            lines.append(f"| {arm} | {says} | {step} | {figures} | {apart} | {seconds} |")
    lines += ["", *differences(found)]
    name = Path(options.results).name
    return "\n".join([*lines, "", f"![Accuracy on held-out questions, and rewards over training]({name}.png)", ""])


def differences(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say how the arms stand to each other in the end, and how good the rewards of ours were."""
    last = {arm: resampled(list(one["accuracy"].values())[-1]) for arm, one in found.items() if one["accuracy"]}
    if OURS not in last:
        return []
    said = [
        f"- {first} minus {second}: {{:+.3f}} [{{:+.3f}}, {{:+.3f}}].".format(*interval(last[first] - last[second]))
        for first, second in ((OURS, "labelled"), (OURS, "oracle"), ("oracle", "labelled"))
        if first in last and second in last
    ]
    if "oracle" in last and "labelled" in last:
        said.append(gap_closed(last))
    return [*said, rewards_of(found[OURS]["steps"])]


def gap_closed(last: Mapping[str, np.ndarray]) -> str:
    """The share of the gap that ours closes, if there is a gap."""
    gap = last["oracle"] - last["labelled"]
    if interval(gap)[1] <= 0:
        return "- Share of the gap closed: cannot be told, since the interval of the gap itself reaches 0."
    closed = (last[OURS] - last["labelled"]) / np.where(gap > 0, gap, np.nan)
    return "- Share of the gap from labelled to oracle that memreward closes: {:.2f} [{:.2f}, {:.2f}].".format(
        *interval(closed)
    )


def rewards_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """How good the rewards of ours were; a step without a figure counts for nothing."""

    def mean(name: str) -> float:
        return float(np.mean([row[name] for row in rows if row.get(name) is not None] or [np.nan]))

    return (
        f"- memreward's rewards: {mean('memreward/predicted'):.2f} predicted, {mean('memreward/abstained'):.2f} "
        f"abstained; on labelled questions, predicted blind, the expected advantages have a cosine of "
        f"{mean('memreward/live/cosine'):.2f} with the true ones, majority vote's "
        f"{mean('memreward/live/cosine_vote'):.2f}, {mean('memreward/seconds'):.1f} s a step for all of it."
    )


def draw(found: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    held_out, training = figure.subplots(1, 2)
    start = interval(resampled(found[START]["accuracy"]["0"]))
    for number, arm in enumerate(arm for arm in ARMS if arm in found):
        right, rows = found[arm]["accuracy"], found[arm]["steps"]
        mean, low, high = np.array([start, *(interval(resampled(one)) for one in right.values())]).T
        at = np.array([0, *map(int, right)]) + 0.5 * (number - 1)
        colour, line = COLOURS[arm]
        held_out.errorbar(
            at, mean, np.abs([mean - low, high - mean]), label=arm, color=colour, linestyle=line, marker="o", capsize=3
        )
        rewards = [(row["step"], value) for row in rows if (value := mean_reward(row)) is not None]
        steps, values = np.array(rewards).reshape(-1, 2).T
        if len(values) >= SMOOTH:
            running = np.convolve(values, np.ones(SMOOTH) / SMOOTH, "valid")
            training.plot(steps[SMOOTH - 1 :], running, color=colour, linestyle=line, label=arm)
    held_out.set(xlabel="step", ylabel="accuracy on held-out questions, 95 % interval")
    training.set(xlabel="step", ylabel=f"mean reward of the last {SMOOTH} steps")
    for axes in (held_out, training):
        axes.set_ylim(0, 1)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    held_out.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
