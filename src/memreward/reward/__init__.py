"""Rewards for training a policy: ground truth where a query is labelled, calibrated predictions elsewhere."""
