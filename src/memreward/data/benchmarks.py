"""The registry of benchmarks: what each is, where it lies on the hub, and under which terms; kept as data."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType

from memreward.types import Domain


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark, as an entry of `benchmarks.toml` describes it.

    Attributes:
        title: Its own name; the dataset of its queries.
        role: "in domain" or "out of domain", as in the paper's tables.
        splits: The hub's split by our name of it, of those that have answers.
        layout: How a row is read, a name in `memreward.data.layouts.LAYOUTS`.
        id: Format of a question's id, from the row's columns and split, configuration, row, row_of_subject.
        configurations: The hub's configurations, read one after the other; empty for the only one.
        revision: Commit of the repository; "" for its latest.
        rename: The layout's column by the hub's, where they differ.
        subject: Column that samples are stratified by; "" for none.
        gated: The hub gives it only to those who accepted its terms.
    """

    name: str
    title: str
    domain: Domain
    role: str
    repository: str
    splits: Mapping[str, str]
    layout: str
    id: str
    license: str
    paper: str
    citation: str
    configurations: tuple[str, ...] = ()
    revision: str = ""
    default_split: str = "test"
    rename: Mapping[str, str] = field(default_factory=dict)
    subject: str = ""
    gated: bool = False


@functools.cache
def benchmarks() -> Mapping[str, Benchmark]:
    """Return all benchmarks by name, in the order of the paper's tables."""
    text = (resources.files("memreward.data") / "benchmarks.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(text).items()
    return MappingProxyType(
        {
            name: Benchmark(name=name, **{**entry, "configurations": tuple(entry["configurations"])})
            for name, entry in entries
        }
    )
