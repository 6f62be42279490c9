"""The graph neural network: one round of messages, the stack of rounds, and the head."""

import math

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv

from memreward.network.graph import ANSWER, MEMORY, NODE_TYPES, QUERY, RELATIONS, SIMILAR_TO, THINKING, Relation
from memreward.types import Features

States = dict[str, Tensor]

# Sizes are the paper's.
HIDDEN = 512
"""Width of node states, a multiple of `HEADS`."""
LAYERS = 2
"""Rounds of message passing."""
HEADS = 4
"""Attention heads of GATv2."""
DROPOUT = 0.1
"""Share of hidden units dropped in training."""
HEAD_DIM = 256
"""Width of the projections whose product is the score (d)."""


class MessageLayer(nn.Module):
    """One round of GATv2 messages per relation, averaged over relations, with residual and normalisation.

    h_v' = LayerNorm(h_v + dropout(ELU(mean over relations r of GATv2_r(h_u, h_v))))

    GATv2: Brody et al. 2022, "How Attentive are Graph Attention Networks?". `similar_to` carries the cosine as an
    edge attribute.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.convs = nn.ModuleDict({each[1]: self._conv(hidden, each == SIMILAR_TO) for each in RELATIONS})
        self.norms = nn.ModuleDict({kind: nn.LayerNorm(hidden) for kind in NODE_TYPES})
        self.dropout = nn.Dropout(DROPOUT)

    @staticmethod
    def _conv(hidden: int, weighted: bool) -> GATv2Conv:
        sizes, width = (hidden, hidden), hidden // HEADS
        return GATv2Conv(sizes, width, heads=HEADS, add_self_loops=False, edge_dim=1 if weighted else None)

    def forward(self, states: States, memory: Tensor, edges: dict[Relation, Tensor], cosine: Tensor | None) -> States:
        """Return the next states; `memory` (m, hidden) are the sources of `similar_to`."""
        sources = {**states, MEMORY: memory}
        received: dict[str, list[Tensor]] = {kind: [] for kind in states}
        for relation, edge_index in edges.items():
            source, name, target = relation
            attribute = cosine if relation == SIMILAR_TO else None
            received[target].append(self.convs[name]((sources[source], states[target]), edge_index, attribute))
        return {
            kind: self.norms[kind](state + self.dropout(nn.functional.elu(torch.stack(received[kind]).mean(0))))
            if received[kind]
            else state
            for kind, state in states.items()
        }


class RewardNetwork(nn.Module):
    """Logits of rollouts from text vectors, edges and the states of frozen memory (method, section 2).

    logit = phi_q(h_query) . phi_r([h_thinking ; h_answer]) / sqrt(d) + b
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.project = nn.ModuleDict({kind: nn.Linear(width, hidden) for kind in NODE_TYPES})
        self.rounds = nn.ModuleList(MessageLayer(hidden) for _ in range(LAYERS))
        self.dropout = nn.Dropout(DROPOUT)
        self.query = nn.Linear(hidden, HEAD_DIM)
        self.rollout = nn.Linear(2 * hidden, HEAD_DIM)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(
        self,
        features: Features,
        edges: dict[Relation, Tensor],
        cosine: Tensor | None = None,
        memory: list[Tensor] | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Run all rounds on n rollouts of q queries.

        Per relation (2, m) edges, and (m, 1) attributes of `similar_to`, whose sources index `memory`: the query states
        of memory before each round; None takes the batch's own queries. Returns (n,) logits, and the query states
        before each round, which is what a frozen memory keeps.
        """
        vectors = {QUERY: features.query_vectors, THINKING: features.thinking_vectors, ANSWER: features.answer_vectors}
        states = {
            kind: self.dropout(nn.functional.elu(self.project[kind](torch.from_numpy(given))))
            for kind, given in vectors.items()
        }
        kept = []
        for number, layer in enumerate(self.rounds):
            kept.append(states[QUERY])
            states = layer(states, states[QUERY] if memory is None else memory[number], edges, cosine)
        return self._score(states, torch.from_numpy(features.group)), kept

    def _score(self, states: States, group: Tensor) -> Tensor:
        rollout = self.rollout(torch.cat([states[THINKING], states[ANSWER]], 1))
        product = (self.query(states[QUERY])[group] * rollout).sum(1)
        logits: Tensor = product / math.sqrt(rollout.shape[1]) + self.bias
        return logits
