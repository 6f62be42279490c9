"""Lets the real packages write the small files beside this script: python make.py NAME [FOLDER], in their environments.

trl        TRL 1.16: one step of a GRPOTrainer with a random tiny model, log_completions=True
verl       verl 0.9.1: RayPPOTrainer._write_generations, with prompts as its Qwen tokenizer decodes them
lm_eval    lm-eval 0.4.13: simple_evaluate and EvaluationTracker with a model that answers sums
inspect    inspect-ai 0.3.285: two evaluations with mockllm, as .eval and as .json
datasets   datasets 5.2: Dataset.save_to_disk
openai     openai 2: its own response types, in the lines that its batch API and vLLM's run-batch document
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

SUMS = [("What is 2 + 3?", "5"), ("What is 4 + 4?", "8"), ("What is 7 + 6?", "13")]
OUT = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent)


def said(question: str, repeat: int) -> str:
    """A right answer, but for every third."""
    a, b = (int(word) for word in question.removeprefix("What is ").rstrip("?").split(" + "))
    return f"We add {a} and {b}.\nThe answer is {a + b + (repeat % 3 == 2)}."


def trl() -> None:
    import tempfile

    sys.path.append(str(Path(__file__).parents[2] / "policy"))
    from datasets import Dataset
    from tiny_model import save_tiny_model
    from trl import GRPOConfig, GRPOTrainer

    def accuracy_reward(completions: list, answer: list, log_extra: object, **_: object) -> list[float]:
        log_extra("answer", list(answer))  # type: ignore[operator]
        return [float(len(one[0]["content"]) % 2) for one in completions]

    with tempfile.TemporaryDirectory() as folder:
        model = save_tiny_model(Path(folder) / "model")
        rows = [{"prompt": [{"role": "user", "content": q}], "answer": a} for q, a in SUMS]
        args = GRPOConfig(
            f"{folder}/out",
            use_cpu=True,
            bf16=False,
            max_steps=1,
            logging_steps=1,
            report_to="none",
            per_device_train_batch_size=4,
            num_generations=2,
            max_completion_length=6,
            log_completions=True,
            gradient_checkpointing=False,
        )
        GRPOTrainer(str(model), accuracy_reward, args, Dataset.from_list(rows)).train()
        shutil.copy(next(Path(folder, "out", "completions").glob("*.parquet")), OUT / "trl_completions_00001.parquet")


def verl() -> None:
    from verl.trainer.ppo.ray_trainer import RayPPOTrainer

    asked = [(question, answer, i) for question, answer in SUMS for i in range(3)]
    system = "You are a helpful assistant."
    inputs = [f"system\n{system}\nuser\n{question}\nassistant\n" for question, _, _ in asked]
    outputs = [said(question, i) for question, _, i in asked]
    scores = [float(f"is {answer}." in output) for output, (_, answer, _) in zip(outputs, asked, strict=True)]
    extra = {"reward": scores, "acc": [bool(score) for score in scores], "pred": [one[-3:] for one in outputs]}
    RayPPOTrainer._write_generations(inputs, outputs, [one[1] for one in asked], scores, extra, str(OUT / "verl"), 7)


def lm_eval() -> None:
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    class Adder(LM):  # type: ignore[misc]
        def generate_until(self, requests: list, **_: object) -> list[str]:
            return [said(one.args[0].rpartition("Q: ")[2].partition("\n")[0], i) for i, one in enumerate(requests)]

        def loglikelihood(self, requests: list, **_: object) -> list:
            return [(-1.0, False)] * len(requests)

        def loglikelihood_rolling(self, requests: list, **_: object) -> list:
            return [-1.0] * len(requests)

    def docs(**_: object) -> dict:
        from datasets import Dataset

        return {"test": Dataset.from_list([{"question": q, "answer": a} for q, a in SUMS])}

    task = {
        "task": "sums",
        "custom_dataset": docs,
        "output_type": "generate_until",
        "test_split": "test",
        "doc_to_text": "Q: {{question}}\nA:",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["\n\n"], "do_sample": False},
        "repeats": 2,
        "filter_list": [
            {"name": name, "filter": [{"function": "regex", "regex_pattern": pattern}, {"function": "take_first"}]}
            for name, pattern in (("strict-match", r"answer is (\d+)"), ("flexible-extract", r"(\d+)"))
        ],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    result = simple_evaluate(Adder(), tasks=[task], task_manager=TaskManager(), log_samples=True, bootstrap_iters=0)
    tracker = EvaluationTracker(output_path=str(OUT / "run"))
    samples = result.pop("samples")
    tracker.save_results_aggregated(results=result, samples=samples)
    tracker.save_results_samples(task_name="sums", samples=samples["sums"])
    shutil.copy(next((OUT / "run").rglob("samples_*.jsonl")), OUT / "lm_eval_samples_sums.jsonl")
    shutil.rmtree(OUT / "run")


def inspect() -> None:
    import types

    # Counting tokens would download a vocabulary; nothing here looks at the count.
    words = types.SimpleNamespace(encode=lambda text, **_: text.split())
    sys.modules["tiktoken"] = types.SimpleNamespace(get_encoding=lambda _: words)  # type: ignore[assignment]
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ContentReasoning, ContentText, ModelOutput, get_model
    from inspect_ai.scorer import choice, match
    from inspect_ai.solver import generate, multiple_choice

    thought = [ContentReasoning(reasoning="Two and three."), ContentText(text="The answer is 5.")]
    outputs = [ModelOutput.from_content("mockllm/model", said(q, i)) for i in range(2) for q, _ in SUMS]
    outputs[0] = ModelOutput.from_content("mockllm/model", thought)
    adding = [Sample(q, target=a) for q, a in SUMS]
    sums = Task(dataset=adding, solver=generate(), scorer=match(numeric=True), epochs=2)
    letters = [Sample("Which is a fruit?", choices=["stone", "pear", "iron"], target="B", id="fruit")]
    chosen = [
        ModelOutput.from_content("mockllm/model", "ANSWER: B"),
        ModelOutput.from_content("mockllm/model", "ANSWER: A"),
    ]
    pick = Task(dataset=letters, solver=multiple_choice(), scorer=choice(), epochs=2)
    for name, task, given in (("eval", sums, outputs), ("json", pick, chosen)):
        where = OUT / f"inspect_{name}"
        model = get_model("mockllm/model", custom_outputs=given)
        eval(task, model=model, log_dir=str(where), log_format=name, display="none", max_connections=1)
        shutil.copy(next(where.glob(f"*.{name}")), OUT / f"inspect.{name}")
        shutil.rmtree(where)


def datasets() -> None:
    from datasets import Dataset

    rows = [{"problem": q, "solution": a, "outs": [said(q, i) for i in range(3)], "level": 1} for q, a in SUMS]
    Dataset.from_list(rows).save_to_disk(OUT / "hf_dataset")


def openai() -> None:
    from openai.types import Completion
    from openai.types.chat import ChatCompletion

    def written(name: str, lines: list[dict]) -> None:
        (OUT / name).write_text("".join(json.dumps(line) + "\n" for line in lines))

    requests, outputs = [], []
    for number, (question, _) in enumerate(SUMS):
        prompt = f"Answer the question. End with 'The answer is X.'\n\n{question}"
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}]
        body = {"model": "some-model", "messages": messages, "n": 3}
        requests.append({"custom_id": f"q{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})
        choices = [
            {
                "index": i,
                "finish_reason": "length" if i == 2 else "stop",
                "message": {"role": "assistant", "content": said(question, i)},
                "logprobs": {"content": [{"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}]},
            }
            for i in range(3)
        ]
        about = {"id": f"chatcmpl-{number}", "created": 1, "model": "some-model", "object": "chat.completion"}
        answer = ChatCompletion.model_validate(about | {"choices": choices}).model_dump(mode="json")
        response = {"status_code": 200, "request_id": f"r{number}", "body": answer}
        outputs.append({"id": f"batch_req_{number}", "custom_id": f"q{number}", "response": response, "error": None})
    text = {"index": 0, "finish_reason": "stop", "logprobs": None, "text": said(SUMS[0][0], 0)}
    about = {"id": "cmpl-1", "created": 1, "model": "some-model", "object": "text_completion", "choices": [text]}
    plain = Completion.model_validate(about).model_dump(mode="json")
    written("openai_requests.jsonl", requests)
    written("openai_output.jsonl", outputs[::-1])
    written("vllm_output.jsonl", [outputs[0] | {"response": {"status_code": 200, "request_id": "v", "body": plain}}])


if __name__ == "__main__":
    {each.__name__: each for each in (trl, verl, lm_eval, inspect, datasets, openai)}[sys.argv[1]]()
