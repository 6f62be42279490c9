"""What predictors see of a rollout: text vectors and evidence that needs no label."""
