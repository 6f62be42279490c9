"""Predictors on labelled files, side by side: the protocol, the metrics, the baselines, and the reports."""
