"""verl 0.9: its plug-ins, its own reward loop workers with real batches, and the advantages that reach the loss."""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]

SIZE = 4


def tokenizer_folder(folder: Path) -> Path:
    """A tokenizer of single characters."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    characters = ["\n", *(chr(code) for code in range(32, 127))]
    names = ["<pad>", "<eos>", "<unk>", *characters]
    made = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    fast.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    fast.save_pretrained(folder)
    return folder


def model_folder(folder: Path) -> Path:
    """A model of two layers, untrained, with its tokenizer."""
    import torch
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder(folder))
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "eos_token_id": tokenizer.eos_token_id}
    MistralForCausalLM(MistralConfig(vocab_size=len(tokenizer) + 2, **sizes, **heads)).save_pretrained(folder)
    return folder


def config_of(folder: Path, url: str, **algorithm: Any) -> Any:
    """The configuration of verl, composed by its own loader."""
    import verl.trainer
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(Path(verl.trainer.__file__).parent / "config"), version_base=None):
        return compose(
            "ppo_trainer",
            [
                "algorithm.adv_estimator=grpo",
                "algorithm.norm_adv_by_std_in_grpo=False",
                "reward.reward_manager.name=memreward",
                "+reward.reward_kwargs.domain=math",
                f"+reward.reward_kwargs.url={url}",
                f"actor_rollout_ref.rollout.n={SIZE}",
                f"actor_rollout_ref.model.path={folder}",
                *(f"algorithm.{name}={value}" for name, value in algorithm.items()),
            ],
        )


def rows_of(numbers: list[int], tokenizer: Any) -> Any:
    """A DataProto as verl's agent loop makes it: prompts, responses padded at the right, uid."""
    import torch
    from serving import texts_of
    from tensordict import TensorDict
    from verl import DataProto

    texts, columns = [], {name: [] for name in ("uid", "data_source", "reward_model", "extra_info", "raw_prompt")}
    for number in numbers:
        uid = str(uuid.uuid4())
        for text in texts_of(number):
            texts.append(text)
            question = f"What is {number} + 3?"
            columns["uid"].append(uid)
            columns["data_source"].append("sums")
            truth = str(number + 3) if number % 2 else None
            columns["reward_model"].append({"ground_truth": truth})
            columns["extra_info"].append({"index": number, "split": "train"})
            columns["raw_prompt"].append([{"role": "user", "content": question}])
    tokens = [tokenizer(text)["input_ids"] + [tokenizer.eos_token_id] for text in texts]
    longest = max(map(len, tokens))
    responses = torch.zeros((len(texts), longest), dtype=torch.long)
    mask = torch.zeros((len(texts), longest), dtype=torch.long)
    for row, ids in enumerate(tokens):
        responses[row, : len(ids)], mask[row, : len(ids)] = torch.tensor(ids), 1
    prompts = torch.ones((len(texts), 3), dtype=torch.long)
    attended = torch.cat([torch.ones_like(prompts), mask], 1)
    batch = {"prompts": prompts, "responses": responses, "attention_mask": attended}

    def objects(values: list[Any]) -> Any:
        made = np.empty(len(values), dtype=object)
        made[:] = values
        return made

    return DataProto(TensorDict(batch, batch_size=len(texts)), {k: objects(v) for k, v in columns.items()})


def test_the_manager_is_registered_by_verls_own_plugins() -> None:
    import verl
    from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls

    assert verl.__version__.startswith("0.9")
    assert get_reward_manager_cls("memreward").__module__ == "memreward.integrations.verl"


def test_groups_split_over_reward_workers_get_expected_advantages_that_verl_passes_on(
    service: str, tmp_path: Path
) -> None:
    import torch
    from verl.experimental.reward_loop.reward_loop import RewardLoopWorker
    from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage
    from verl.utils import hf_tokenizer

    folder = tokenizer_folder(tmp_path / "model")
    config, tokenizer = config_of(folder, service), hf_tokenizer(str(folder))
    workers = [RewardLoopWorker(config) for _ in range(3)]
    data = rows_of(list(range(8)), tokenizer)
    order = random.Random(3).sample(range(len(data)), len(data))

    async def run() -> dict[int, Any]:
        tasks = {i: workers[i % 3].compute_score(data[i : i + 1]) for i in order}
        return dict(zip(tasks, await asyncio.gather(*tasks.values()), strict=True))

    found = asyncio.run(run())
    rows = [found[i] for i in range(len(data))]
    assert len({tuple(row["reward_extra_info"]) for row in rows}) == 1
    assert all(type(value) is float for row in rows for value in row["reward_extra_info"].values())
    assert not any(row["reward_extra_info"]["memreward/failed"] for row in rows)
    for number in range(8):
        own = [rows[number * SIZE + place] for place in range(SIZE)]
        kind = "memreward/truth" if number % 2 else "memreward/predicted"
        assert [row["reward_extra_info"][kind] for row in own] == [1.0] * SIZE
        assert own[0]["reward_score"] == own[1]["reward_score"] > own[2]["reward_score"]
    mask = data.batch["attention_mask"][:, 3:]
    rewards = torch.zeros_like(mask, dtype=torch.float32)
    scores = torch.tensor([row["reward_score"] for row in rows])
    rewards[torch.arange(len(rows)), mask.sum(1) - 1] = scores
    uid = data.non_tensor_batch["uid"]
    centred, _ = compute_grpo_outcome_advantage(rewards, mask, uid, norm_adv_by_std_in_grpo=False)
    torch.testing.assert_close(centred.sum(1) / mask.sum(1), scores, atol=1e-5, rtol=0)
    scaled, _ = compute_grpo_outcome_advantage(rewards, mask, uid, norm_adv_by_std_in_grpo=True)
    assert (scaled.sum(1) / mask.sum(1) - scores).abs().max() > 0.05


def test_it_refuses_to_start_where_verl_would_standardise_or_no_service_answers(service: str, tmp_path: Path) -> None:
    from omegaconf import open_dict
    from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

    from memreward.integrations.verl import compute_score
    from memreward.types import ConfigurationError, EndpointError

    folder = tokenizer_folder(tmp_path / "model")
    with pytest.raises(ConfigurationError, match="norm_adv_by_std_in_grpo=False"):
        RewardLoopWorker(config_of(folder, service, norm_adv_by_std_in_grpo=True))
    config = config_of(folder, "http://127.0.0.1:9")
    with open_dict(config):
        config.reward.reward_kwargs.deadline = 1.0
    with pytest.raises(EndpointError, match="failed"):
        RewardLoopWorker(config)
    nobody = {"size": SIZE, "domain": "math", "url": "http://127.0.0.1:9", "deadline": 1.0}
    with pytest.raises(EndpointError, match="failed"):
        asyncio.run(compute_score("sums", "The answer is 5.", None, {"question": "What is 2 + 3?"}, **nobody))


def test_a_function_by_pkg_scores_groups_by_their_question(service: str, tmp_path: Path) -> None:
    from omegaconf import open_dict
    from verl.experimental.reward_loop.reward_loop import RewardLoopWorker
    from verl.utils import hf_tokenizer

    folder = tokenizer_folder(tmp_path / "model")
    config, tokenizer = config_of(folder, service), hf_tokenizer(str(folder))
    with open_dict(config):
        config.reward.reward_manager.name = "naive"
        config.reward.custom_reward_function = {
            "path": "pkg://memreward.integrations.verl",
            "name": "compute_score",
            "reward_kwargs": {"size": SIZE, "domain": "math", "url": service},
        }
    data = rows_of([20, 22], tokenizer)
    for row in range(len(data)):
        data.non_tensor_batch["extra_info"][row]["question"] = f"What is {20 + row // SIZE * 2} + 3?"
    worker = RewardLoopWorker(config)
    rows = worker.loop.run_until_complete(worker.compute_score_batch(data))  # as in its own process
    for start in (0, SIZE):
        paid = [row["reward_score"] for row in rows[start : start + SIZE]]
        assert sum(paid) == pytest.approx(0, abs=1e-6)
        assert paid[0] > paid[2]


@pytest.mark.parametrize("page", ["examples/launch/verl.sh", "docs/integrations.md"])
def test_the_launch_script_and_the_recipe_are_taken_by_verls_own_loader(page: str) -> None:
    import verl.trainer
    from hydra import compose, initialize_config_dir
    from verl.utils.config import validate_config

    from memreward.integrations.verl_rows import check_algorithm

    words = (Path(__file__).parents[2] / page).read_text().partition("-m verl.trainer.main_ppo")[2].partition("\n\n")[0]
    given = re.findall(r"\+?[a-z_.]+=\S+", words)
    with initialize_config_dir(str(Path(verl.trainer.__file__).parent / "config"), version_base=None):
        config = compose("ppo_trainer", given)
    validate_config(config, use_reference_policy=config.actor_rollout_ref.actor.use_kl_loss, use_critic=False)
    check_algorithm(config.algorithm)
    assert len(given) == (24 if page.endswith(".sh") else 10)
    assert config.actor_rollout_ref.rollout.n == 8
    assert config.reward.reward_manager.name == "memreward"


SETTINGS = [
    "algorithm.adv_estimator=grpo",
    "algorithm.norm_adv_by_std_in_grpo=False",
    "reward.reward_manager.name=memreward",
    "+reward.reward_kwargs.domain=math",
    "reward.num_workers=1",
    "actor_rollout_ref.rollout.name=given",
    "actor_rollout_ref.rollout.tensor_model_parallel_size=1",
    "actor_rollout_ref.rollout.agent.num_workers=1",
    "actor_rollout_ref.rollout.free_cache_engine=False",
    "+actor_rollout_ref.model.override_config.attn_implementation=eager",
    "actor_rollout_ref.model.use_remove_padding=False",
    "actor_rollout_ref.actor.strategy=fsdp2",
    "actor_rollout_ref.actor.use_dynamic_bsz=True",
    "actor_rollout_ref.actor.use_kl_loss=False",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=2048",
    "actor_rollout_ref.actor.use_torch_compile=False",
    "actor_rollout_ref.actor.fsdp_config.use_torch_compile=False",
    "actor_rollout_ref.actor.fsdp_config.model_dtype=fp32",
    "data.train_batch_size=4",
    "data.max_prompt_length=64",
    "data.max_response_length=64",
    "data.dataloader_num_workers=0",
    "trainer.device=cpu",
    "trainer.n_gpus_per_node=1",
    "trainer.nnodes=1",
    "trainer.total_epochs=1",
    "trainer.val_before_train=False",
    "trainer.test_freq=-1",
    "trainer.save_freq=-1",
    "trainer.logger=[console]",
    "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
    "ray_kwargs.ray_init.num_cpus=16",
    "+ray_kwargs.ray_init.num_gpus=1",
    "+ray_kwargs.ray_init.include_dashboard=False",
    "+ray_kwargs.ray_init.address=local",
]


def test_verls_own_trainer_makes_three_steps_with_expected_advantages(service: str, tmp_path: Path) -> None:
    import pandas as pd

    folder, file = model_folder(tmp_path / "model"), tmp_path / "train.parquet"
    rows = []
    for number in range(0, 84, 7):  # apart: what is wrong of one is right of none of the others
        extra = {"index": number, "split": "train", "question": f"What is {number} + 3?"}
        truth = {"ground_truth": str(number + 3) if number % 2 else None}
        prompt = [{"role": "user", "content": extra["question"]}]
        rows.append({"prompt": prompt, "data_source": "sums", "reward_model": truth, "extra_info": extra})
    pd.DataFrame(rows).to_parquet(file)
    paths = {"model.path": folder, "rollout.n": SIZE}
    own = [*(f"actor_rollout_ref.{name}={value}" for name, value in paths.items())]
    own += [f"data.train_files={file}", f"data.val_files={file}", f"trainer.default_local_dir={tmp_path}"]
    here = Path(__file__).parent
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(here), str(here.parent / "service"), os.environ.get("PYTHONPATH", "")]),
        "MEMREWARD_URL": service,
        "VERL_USE_EXTERNAL_MODULES": "verl_cpu",
        # FSDP2's class is registered for cards, and needs none.
        "VERL_ENGINE_DEVICE": "cuda",
        "VERL_ENGINE_VENDOR": "nvidia",
        "RAY_DEDUP_LOGS": "0",
    }
    command = [sys.executable, "-m", "verl.trainer.main_ppo", *SETTINGS, *own]
    ran = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=590, check=False
    )
    said = ran.stdout + ran.stderr
    (tmp_path / "said").write_text(said)
    assert ran.returncode == 0, said[-3000:]
    steps = [
        dict(re.findall(r"(\S+):([-+\d.e]+(?:nan|inf)?)(?: - |$)", line))
        for line in said.splitlines()
        if "step:" in line
    ]
    assert len(steps) == 3, said[-3000:]
    for found in steps:
        assert float(found["critic/advantages/max"]) == pytest.approx(float(found["critic/rewards/max"]), abs=1e-4)
        assert float(found["critic/advantages/min"]) == pytest.approx(float(found["critic/rewards/min"]), abs=1e-4)
        assert float(found["critic/rewards/mean"]) == pytest.approx(0, abs=1e-5)
        assert float(found["actor/grad_norm"]) > 0
    weights = re.findall(r"WEIGHTS \d+ ([\d.]+)", said)
    assert len(set(weights)) == len(weights) > 3, "each step changed the policy"
