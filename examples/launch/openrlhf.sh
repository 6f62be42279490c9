#!/bin/sh
# Qwen2.5-3B-Instruct with OpenRLHF 0.11 on two machines of eight GPUs, with the paper's settings (G = 8, batch 128,
# learning rate 1e-6, KL .001, 410 steps). Run on the head of a Ray cluster, with `memreward serve` at REWARD_HOST.
# OpenRLHF's own parser takes these settings (make test-openrlhf); no GPU has run them.
exec python -m memreward.integrations.openrlhf \
  --algo.advantage.estimator dr_grpo \
  --algo.kl.init_coef 0.001 \
  --reward.remote_url "http://${REWARD_HOST:-127.0.0.1}:8765/openrlhf?size=8&domain=math" \
  --actor.model_name_or_path Qwen/Qwen2.5-3B-Instruct \
  --actor.num_nodes 2 \
  --actor.num_gpus_per_node 8 \
  --actor.adam.lr 1e-6 \
  --ref.num_nodes 2 \
  --ref.num_gpus_per_node 8 \
  --train.colocate_all \
  --vllm.num_engines 8 \
  --vllm.tensor_parallel_size 2 \
  --rollout.n_samples_per_prompt 8 \
  --rollout.batch_size 128 \
  --rollout.temperature 1.0 \
  --rollout.max_new_tokens 1024 \
  --train.batch_size 1024 \
  --train.micro_batch_size 4 \
  --data.prompt_dataset train.jsonl \
  --data.input_key prompt \
  --data.label_key label \
  --data.max_len 2048 \
  --ckpt.output_dir runs/qwen2.5-3b_openrlhf \
  "$@"
