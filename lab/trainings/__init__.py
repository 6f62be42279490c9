"""Experiments that train: every arm from one starting policy, over label shares and seeds, and what came of it."""
