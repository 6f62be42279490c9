"""Ground truth: whether a rollout answers its query as the reference asks, or that it cannot be told."""

from memreward.verify.cache import VerdictCache
from memreward.verify.choice import ChoiceVerifier
from memreward.verify.code import CodeConfig, CodeVerifier
from memreward.verify.math import MathConfig, MathVerifier
from memreward.verify.router import Verifiers, VerifyConfig, verifier_for
from memreward.verify.text import TextVerifier

__all__ = [
    "ChoiceVerifier",
    "CodeConfig",
    "CodeVerifier",
    "MathConfig",
    "MathVerifier",
    "TextVerifier",
    "VerdictCache",
    "Verifiers",
    "VerifyConfig",
    "verifier_for",
]
