"""Where rollouts come from: question sources, a sampler over a local language model, and collection to a file."""
