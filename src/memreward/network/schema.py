"""What the graph is made of. Every other module takes node types and relations from here."""

from __future__ import annotations

from dataclasses import dataclass

Relation = tuple[str, str, str]

QUERY, THINKING, ANSWER = "query", "thinking", "answer"
MEMORY = "memory"
"""Labelled queries of memory, seen as sources only: messages flow from them and never back."""

ASKS: Relation = (QUERY, "asks", THINKING)
ASKED_BY: Relation = (THINKING, "asked_by", QUERY)
YIELDS: Relation = (THINKING, "yields", ANSWER)
YIELDED_BY: Relation = (ANSWER, "yielded_by", THINKING)
ANSWERED_WITH: Relation = (QUERY, "answered_with", ANSWER)
ANSWERS: Relation = (ANSWER, "answers", QUERY)
AGREES_WITH: Relation = (ANSWER, "agrees_with", ANSWER)
NEAR: Relation = (THINKING, "near", THINKING)
SIMILAR_TO: Relation = (MEMORY, "similar_to", QUERY)

NODE_TYPES = (QUERY, THINKING, ANSWER)
RELATIONS: tuple[Relation, ...] = (
    ASKS,
    ASKED_BY,
    YIELDS,
    YIELDED_BY,
    ANSWERED_WITH,
    ANSWERS,
    AGREES_WITH,
    NEAR,
    SIMILAR_TO,
)


@dataclass(frozen=True)
class GraphConfig:
    """Which relations exist.

    Attributes:
        neighbours: Labelled memory queries each query listens to (k = 7 in the paper).
        similarity: Keep `similar_to` edges from memory; False cuts memory off.
        thinking: Keep thinking nodes; False leaves queries and answers only.
        agreement: Keep `agrees_with` edges between equivalent answers to one query.
        near: Join each thinking to this many nearest thinkings of its query; 0 leaves the relation out.
        shortcut: Join query and answer directly, so that a label in memory is two steps from a new query, not three.
    """

    neighbours: int = 7
    similarity: bool = True
    thinking: bool = True
    agreement: bool = True
    near: int = 0
    shortcut: bool = True

    def relations(self) -> tuple[Relation, ...]:
        """Relations that this configuration builds, in the order of `RELATIONS`."""
        dropped: set[Relation] = set()
        if not self.similarity:
            dropped |= {SIMILAR_TO}
        if not self.thinking:
            dropped |= {ASKS, ASKED_BY, YIELDS, YIELDED_BY, NEAR}
        elif not self.shortcut:
            dropped |= {ANSWERED_WITH, ANSWERS}
        if not self.agreement:
            dropped |= {AGREES_WITH}
        if not self.near:
            dropped |= {NEAR}
        return tuple(relation for relation in RELATIONS if relation not in dropped)
