#!/bin/sh
# Qwen2.5-3B-Instruct with verl 0.9 on two machines of eight GPUs, with the paper's settings (G = 8, batch 128, learning
# rate 1e-6, KL .001, 410 steps). Run on the head of a Ray cluster; MEMREWARD_URL and MEMREWARD_TOKEN must be set on every
# node, and `memreward serve` must run. verl's own loader takes these settings (make test-verl); no GPU has run them.
exec python -m verl.trainer.main_ppo \
  algorithm.adv_estimator=grpo \
  algorithm.norm_adv_by_std_in_grpo=False \
  algorithm.use_kl_in_reward=False \
  reward.reward_manager.name=memreward \
  +reward.reward_kwargs.domain=math \
  data.train_files=train.parquet \
  data.val_files=val.parquet \
  data.train_batch_size=128 \
  data.max_prompt_length=1024 \
  data.max_response_length=1024 \
  actor_rollout_ref.model.path=Qwen/Qwen2.5-3B-Instruct \
  actor_rollout_ref.actor.optim.lr=1e-6 \
  actor_rollout_ref.actor.use_kl_loss=True \
  actor_rollout_ref.actor.kl_loss_coef=0.001 \
  actor_rollout_ref.actor.ppo_mini_batch_size=128 \
  actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4 \
  actor_rollout_ref.rollout.name=vllm \
  actor_rollout_ref.rollout.n=8 \
  actor_rollout_ref.rollout.temperature=1.0 \
  actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=8 \
  actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=8 \
  trainer.total_training_steps=410 \
  trainer.nnodes=2 \
  trainer.n_gpus_per_node=8 \
  "$@"
