"""Experiments: predictors compared on files of rollouts, and the pages that show it."""
