"""Training a policy with GRPO: settings, the trainer, checkpoints, the arms of an experiment."""
