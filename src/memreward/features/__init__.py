"""What predictors see of a rollout: text vectors, evidence that needs no label, a reader's view."""
