"""The domains there are: four of ours, those of installed packages, and those that a user names.

Each gives answers a key; two answers are equivalent when their keys are equal, which is the one notion of it.

A package adds one by an entry point of the group "memreward.domains"; anybody by `register`, or for every command and
all of its processes by the environment: MEMREWARD_DOMAINS="mine.py:MyDomain,other.py:Theirs".
"""

from collections.abc import Sequence
from functools import cache

from memreward.domains.choice.domain import Choice
from memreward.domains.code.domain import Code
from memreward.domains.math.domain import Math
from memreward.domains.rules import DomainRules
from memreward.domains.text.domain import Text
from memreward.plugins import DOMAINS, called, installed, keep_in_environment, load_named, of_environment
from memreward.types import ConfigurationError, Domain, UnknownDomainError, add_domain, unknown_domain

GROUP = "memreward.domains"

_RULES: dict[str, DomainRules] = {rules.name: rules for rules in (Math(), Choice(), Code(), Text())}


def register(rules: DomainRules) -> None:
    """Add a domain, in this process; one of the same name and class may be added again, another of its name not."""
    if not isinstance(rules, DomainRules) or not rules.name:
        raise ConfigurationError(f"{rules!r} is not a domain: derive it from memreward.domains.DomainRules and name it")
    known = _RULES.get(rules.name)
    if known is not None and type(known).__qualname__ != type(rules).__qualname__:
        raise ConfigurationError(f"domain {rules.name!r} is there already: give yours another name")
    _RULES[rules.name] = rules
    add_domain(rules.name)


def rules_of(name: str) -> DomainRules:
    """Return a domain by name; UnknownDomainError where there is none."""
    if name not in _RULES:
        raise UnknownDomainError(unknown_domain(name))
    return _RULES[name]


def begin_all() -> None:
    """Have every domain start the processes that it asks."""
    for rules in _RULES.values():
        rules.begin()


def load_domain(named: str) -> DomainRules:
    """Add a domain that is named as "mine.py:MyDomain", by a file, or "package.module:MyDomain"."""
    made = load_named(named, "domain")
    rules = called(made, name=f"domain {named!r}", doing="as it was made") if isinstance(made, type) else made
    register(rules)
    return rules_of(rules.name)


def use_domains(named: Sequence[str]) -> None:
    """Add domains as `load_domain` does, in this process and in those that it will start."""
    for one in named:
        load_domain(one)
    keep_in_environment(DOMAINS, named)


@cache
def load_all() -> None:
    """Add the domains of installed packages and of the environment, once in a process."""
    for named in (*installed(GROUP).values(), *of_environment(DOMAINS)):
        load_domain(named)


def answer_key(answer: str, domain: Domain, *, query_text: str = "") -> str:
    """Return a string that is equal for equivalent answers to one query, and stable across processes."""
    return rules_of(domain).key(answer, query_text)


def equivalent(a: str, b: str, domain: Domain, *, query_text: str = "") -> bool:
    """Say whether two answers to one query are equivalent: an equivalence relation in the strict sense."""
    return a == b or answer_key(a, domain, query_text=query_text) == answer_key(b, domain, query_text=query_text)


def cluster_answers(answers: Sequence[str | None], domain: Domain, *, query_text: str = "") -> list[int]:
    """Return for each answer to one query the index of its class of equivalent answers; -1 for None, no answer.

    Classes are numbered from 0 in order of first appearance. Where all are spelled alike there is nothing to evaluate.
    """
    rules = rules_of(domain)
    distinct = [answer for answer in dict.fromkeys(answers) if answer is not None]
    if len(distinct) < 2 or len({rules.spelling(answer) for answer in distinct}) < 2:
        return [-1 if answer is None else 0 for answer in answers]
    classes: dict[str, int] = {}
    of = {answer: classes.setdefault(rules.key(answer, query_text), len(classes)) for answer in distinct}
    return [-1 if answer is None else of[answer] for answer in answers]


load_all()  # last: a domain of somebody's may import this module
