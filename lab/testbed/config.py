"""Settings of the testbed: the policy, and the starting point of all arms."""

from __future__ import annotations

from dataclasses import dataclass, field

LONGEST = 32
"""Tokens of a rollout, at most; a whole demonstration has 25."""


@dataclass(frozen=True)
class PolicyConfig:
    """The network, and how demonstrations teach it.

    Attributes:
        width: Size of a token's state.
        layers: Layers of the transformer.
        heads: Attention heads.
        positions: Longest text in tokens.
        steps: Steps of supervised training.
        batch: Demonstrations a step.
        learning_rate: Highest learning rate; it falls to zero along a cosine.
        seed: Seeds weights and demonstrations.
    """

    width: int = 128
    layers: int = 4
    heads: int = 4
    positions: int = 160
    steps: int = 2000
    batch: int = 64
    learning_rate: float = 2e-3
    seed: int = 0


@dataclass(frozen=True)
class StartConfig:
    """What is made before any arm is trained.

    Attributes:
        seed: Seeds the questions and the sampled rollouts.
        train: Training questions.
        test: Held-out questions of the same kinds.
        foreign: Questions of other kinds, out of domain.
        rollouts: Rollouts of each training question that memory starts with.
        policy: The policy.
    """

    seed: int = 0
    train: int = 96
    test: int = 240
    foreign: int = 120
    rollouts: int = 8
    policy: PolicyConfig = field(default_factory=PolicyConfig)
