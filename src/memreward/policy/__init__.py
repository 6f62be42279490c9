"""Where rollouts come from: prompts, a sampler over a local language model, and collection to a file."""
