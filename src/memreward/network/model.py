"""The graph neural network: one round of messages, the stack of rounds, and the two heads."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv

from memreward.network import schema
from memreward.network.config import PredictorConfig
from memreward.network.inputs import Inputs
from memreward.network.schema import Relation

States = dict[str, Tensor]


class MessageLayer(nn.Module):
    """One round of GATv2 messages per relation, averaged over relations, with residual and normalisation.

    h_v' = LayerNorm(h_v + dropout(ELU(mean over relations r of GATv2_r(h_u, h_v))))

    GATv2: Brody et al. 2022, "How Attentive are Graph Attention Networks?". `similar_to` carries the cosine as an
    edge attribute.
    """

    def __init__(self, config: PredictorConfig, relations: tuple[Relation, ...]) -> None:
        super().__init__()
        names = ["any"] if config.homogeneous else [relation[1] for relation in relations]
        self.convs = nn.ModuleDict({name: self._conv(config, name == schema.SIMILAR_TO[1]) for name in names})
        self.norms = nn.ModuleDict({kind: nn.LayerNorm(config.hidden) for kind in schema.NODE_TYPES})
        self.dropout = nn.Dropout(config.dropout)
        self.homogeneous = config.homogeneous

    @staticmethod
    def _conv(config: PredictorConfig, weighted: bool) -> GATv2Conv:
        sizes, width = (config.hidden, config.hidden), config.hidden // config.heads
        return GATv2Conv(sizes, width, heads=config.heads, add_self_loops=False, edge_dim=1 if weighted else None)

    def forward(self, states: States, memory: Tensor, edges: dict[Relation, Tensor], cosine: Tensor | None) -> States:
        """Return the next states; `memory` (m, hidden) are the sources of `similar_to`."""
        sources = {**states, schema.MEMORY: memory}
        received: dict[str, list[Tensor]] = {kind: [] for kind in states}
        for relation, edge_index in edges.items():
            source, name, target = relation
            conv = self.convs["any" if self.homogeneous else name]
            attribute = cosine if relation == schema.SIMILAR_TO and not self.homogeneous else None
            received[target].append(conv((sources[source], states[target]), edge_index, attribute))
        return {
            kind: self.norms[kind](state + self.dropout(nn.functional.elu(torch.stack(received[kind]).mean(0))))
            if received[kind]
            else state
            for kind, state in states.items()
        }


class RewardNetwork(nn.Module):
    """Logits of rollouts from node inputs, edges and the states of frozen memory (method, sections 2 and 5)."""

    def __init__(self, config: PredictorConfig, text_dims: dict[str, int], evidence_dim: int) -> None:
        super().__init__()
        self.config = config
        extra = evidence_dim if config.evidence else 0
        widths = {
            schema.QUERY: text_dims[schema.QUERY] * config.text,
            schema.THINKING: text_dims[schema.THINKING] * config.text + extra,
            schema.ANSWER: text_dims[schema.ANSWER] * config.text + extra,
        }
        self.project = nn.ModuleDict({kind: nn.Linear(width, config.hidden) for kind, width in widths.items()})
        self.label = nn.Embedding(3, config.hidden)
        relations = config.graph.relations() if config.network == "graph" else ()
        self.rounds = nn.ModuleList(MessageLayer(config, relations) for _ in range(config.layers if relations else 0))
        self.dropout = nn.Dropout(config.dropout)
        self.head = DotHead(config) if config.head == "dot" else ResidualHead(config)

    def start(self, inputs: Inputs, labels: Tensor) -> States:
        """Node states before the first message; `labels` (n,) holds 0 wrong, 1 right, 2 unknown or hidden."""
        parts: dict[str, list[Tensor]] = {
            schema.QUERY: [inputs.query_vectors],
            schema.THINKING: [inputs.thinking_vectors],
            schema.ANSWER: [inputs.answer_vectors],
        }
        states = {}
        for kind, vectors in parts.items():
            columns = vectors if self.config.text else []
            if self.config.evidence and kind != schema.QUERY:
                columns = [*columns, inputs.evidence]
            rows = len(vectors[0])
            joined = torch.cat(columns, 1) if columns else vectors[0].new_zeros(rows, 0)
            states[kind] = self.dropout(nn.functional.elu(self.project[kind](joined)))
        if self.config.labels:
            states[schema.ANSWER] = states[schema.ANSWER] + self.label(labels)
        return states

    def forward(
        self,
        inputs: Inputs,
        labels: Tensor,
        edges: dict[Relation, Tensor],
        cosine: Tensor | None = None,
        memory: list[Tensor] | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Run all rounds.

        Args:
            inputs: n rollouts to q queries.
            labels: (n,) label inputs.
            edges: Per relation (2, m); sources of `similar_to` index `memory`.
            cosine: (m, 1) attributes of `similar_to`.
            memory: Query states of memory before each round; None takes the batch's own queries as memory.

        Returns:
            (n,) logits, and the query states before each round, which is what a frozen memory keeps.
        """
        states = self.start(inputs, labels)
        kept = []
        for number, layer in enumerate(self.rounds):
            kept.append(states[schema.QUERY])
            states = layer(states, states[schema.QUERY] if memory is None else memory[number], edges, cosine)
        return self.head(states, inputs.group), kept


class DotHead(nn.Module):
    """The paper's head: logit = phi_q(h_query) . phi_r([h_thinking ; h_answer]) / sqrt(d) + b."""

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.query = nn.Linear(config.hidden, config.head_dim)
        self.rollout = nn.Linear(2 * config.hidden, config.head_dim)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, states: States, group: Tensor) -> Tensor:
        """Return (n,) logits of rollouts whose queries are `group` (n,)."""
        rollout = self.rollout(torch.cat([states[schema.THINKING], states[schema.ANSWER]], 1))
        product = (self.query(states[schema.QUERY])[group] * rollout).sum(1)
        logits: Tensor = product / math.sqrt(rollout.shape[1]) + self.bias
        return logits


class ResidualHead(nn.Module):
    """A small perceptron over [h_query ; h_thinking ; h_answer] that starts at zero.

    Its output is added to the linear model's logit, so training begins at that model and learns what it leaves.
    """

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.first = nn.Linear(3 * config.hidden, config.hidden)
        self.last = nn.Linear(config.hidden, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, states: States, group: Tensor) -> Tensor:
        """Return (n,) logits of rollouts whose queries are `group` (n,)."""
        joined = torch.cat([states[schema.QUERY][group], states[schema.THINKING], states[schema.ANSWER]], 1)
        logits: Tensor = self.last(nn.functional.elu(self.first(joined))).squeeze(1)
        return logits
