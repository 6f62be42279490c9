"""One verifier for claims of any domain: each goes to its own, verdicts come back in order and are remembered."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from memreward.domains.code.verify import CodeVerifier
from memreward.domains.config import VerifyConfig
from memreward.domains.registry import rules_of
from memreward.domains.rules import everything
from memreward.domains.shared.cache import VerdictCache, verdict_key
from memreward.plugins import called, fingerprint, installed, load_named
from memreward.sandbox.deadline import left
from memreward.types import Claim, ConfigurationError, Domain, EndpointError, Group, MemRewardError, Verdict, Verifier

_BY_A_REPLY = (ValueError, ArithmeticError, LookupError, RecursionError, MemoryError)
"""What an odd reply may cause in a verifier; it must not cost the other claims their verdict."""

GROUP = "memreward.verifiers"
"""Entry points under which packages add verifiers, each by the name of its domain."""

Decide = Callable[[str, str, str], bool | None]
"""Question, answer and reference ("" where none is given) to a verdict, or None where it cannot be told."""

_AT_ONCE = 8


def load_verifier(named: str) -> tuple[Domain, Verifier]:
    """Return the domain and the verifier of "math=mine.py:check": a verifier, its class, or a function.

    A function is given question, answer and reference, and says True, False, or None.
    """
    domain, equals, place = named.partition("=")
    if not equals:
        raise ConfigurationError(
            f"verifier {named!r} is of no domain: write DOMAIN=FILE.py:NAME, e.g. math=mine.py:check"
        )
    rules_of(domain)
    made = load_named(place, "verifier")
    if isinstance(made, type):
        made = called(made, name=f"verifier {place!r}", doing="as it was made")
    if callable(getattr(made, "verify", None)):
        return domain, made
    if not callable(made):
        raise ConfigurationError(f"verifier {place!r} verifies nothing: name a function of question, answer, reference")
    # Verdicts are cached by name: another text of the file is another verifier.
    return domain, JudgeVerifier(f"{made.__name__}-{fingerprint(made)[:8]}", made)


def verifier_for(domain: Domain, config: VerifyConfig | None = None) -> Verifier:
    return rules_of(domain).verifier(config or VerifyConfig())


class Verifiers:
    """A verifier of mixed batches; `own` ones, by domain, stand in place of those of `verifier_for`."""

    name = "by domain"
    """Each verdict's source is that of the verifier that decided."""

    def __init__(
        self,
        config: VerifyConfig | None = None,
        *,
        cache: VerdictCache | None = None,
        own: Mapping[Domain, Verifier] | None = None,
    ) -> None:
        if config is not None and not isinstance(config, VerifyConfig):
            raise ConfigurationError(
                f"config is a {type(config).__name__}: give a VerifyConfig, or verifiers of your own as "
                "Verifiers(own={domain: verifier})"
            )
        self.config = config or VerifyConfig()
        self.cache = cache if cache is not None else VerdictCache()
        added = (load_verifier(f"{domain}={place}") for domain, place in installed(GROUP).items())
        self._verifiers: dict[Domain, Verifier] = {**dict(added), **(own or {})}

    def of(self, domain: Domain) -> Verifier:
        if domain not in self._verifiers:
            self._verifiers[domain] = verifier_for(domain, self.config)
        return self._verifiers[domain]

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        """Return one verdict a claim, in order. A claim judged before, or twice in the batch, is judged once.

        Where a domain has no verifier, or a verifier refuses or fails, it is "cannot tell" and says so; a fault that no
        reply can be blamed for is raised.
        """
        verdicts: dict[int, Verdict] = {}
        for domain in dict.fromkeys(claim.rollout.query.domain for claim in claims):
            places = [index for index, claim in enumerate(claims) if claim.rollout.query.domain == domain]
            found = self._of_domain(domain, [claims[index] for index in places])
            verdicts.update(zip(places, found, strict=True))
        return [verdicts[index] for index in range(len(claims))]

    def refuse_uncontained(self, groups: Sequence[Group]) -> None:
        """Raise SandboxError for code that cannot be contained: no reference is worth its price without a verdict."""
        for domain in {group.query.domain for group in groups}:
            verifier = self.of(domain)
            if isinstance(verifier, CodeVerifier):
                _ = verifier.sandbox.containment

    def _of_domain(self, domain: Domain, claims: list[Claim]) -> list[Verdict]:
        try:
            verifier = self.of(domain)
        except MemRewardError as error:
            return [Verdict(None, str(error))] * len(claims)
        subject = getattr(verifier, "subject", everything)
        keys = [verdict_key(verifier.name, *subject(claim)) for claim in claims]
        known = self.cache.get(keys)
        new = {key: claim for key, claim in zip(keys, claims, strict=True) if key not in known}
        judged = dict(zip(new, _judged(verifier, list(new.values())), strict=True))
        # What could not be told since the time was over may be told the next time.
        self.cache.put({key: one for key, one in judged.items() if one.correct is not None or left() > 0})
        known |= judged
        return [replace(known[key], source=verifier.name) for key in keys]


def _judged(verifier: Verifier, claims: list[Claim]) -> list[Verdict]:
    """One verdict a claim; where the verifier fails on all together, each claim is tried alone."""
    if not claims:
        return []
    try:
        verdicts = verifier.verify(claims)
    except MemRewardError as error:
        return [Verdict(None, str(error))] * len(claims)
    except _BY_A_REPLY as error:
        if len(claims) == 1:
            return [Verdict(None, f"{type(error).__name__}: {error}")]
        return [verdict for claim in claims for verdict in _judged(verifier, [claim])]
    if len(verdicts) != len(claims) or not all(isinstance(one, Verdict) for one in verdicts):
        raise TypeError(
            f"the verifier {verifier.name!r} returned {len(verdicts)} values for {len(claims)} claims: "
            "let it return one memreward.types.Verdict a claim, in order"
        )
    return verdicts


class JudgeVerifier:
    """Asks a judge about each answer, several at once, from threads; the ledger has its verdicts under its name."""

    def __init__(self, name: str, decide: Decide) -> None:
        self.name, self.decide = name, decide

    def subject(self, claim: Claim) -> tuple[str | None, ...]:
        return claim.rollout.query.text, claim.rollout.answer, claim.reference

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(self._verdict, claims))

    def _verdict(self, claim: Claim) -> Verdict:
        answer = claim.rollout.answer
        if answer is None:
            return Verdict(None, "no answer is marked in the text")
        try:
            correct = self.decide(claim.rollout.query.text, answer, claim.reference)
        except EndpointError as error:
            return Verdict(None, str(error))
        return Verdict(correct, "the judge says so" if correct is not None else "the judge cannot tell")
