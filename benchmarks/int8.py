"""Linear layers in eight bits, for sampling on a processor that multiplies bytes faster than floating-point numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGEST = 63
"""Of a weight: 2 * 255 * 63 is below 2^15."""


class Int8Linear(nn.Module):
    """A linear layer with weights of seven bits by output channel, and inputs of eight bits by token.

    Processors without VNNI add two products in 16 bits, which cut off at the top: with weights of eight bits they would
    be another policy.

    torch quantizes inputs with one range for all rows. Each row is divided by its own greatest magnitude before, and a
    row from -1 to 1 is added, so that the range is always that: what a row gives does not depend on its neighbours.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scales = weight.abs().amax(1).clamp(min=1e-12).double() / LARGEST
        zeros = torch.zeros(len(scales), dtype=torch.long)
        quantized = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(quantized, None)
        self.bias = None if linear.bias is None else linear.bias.detach().float()
        self.edge = torch.zeros(1, weight.shape[1])
        self.edge[0, :2] = torch.tensor([-1.0, 1.0])

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs), in the number format of `inputs`."""
        rows = inputs.reshape(-1, inputs.shape[-1]).float()
        size = rows.abs().amax(1, keepdim=True).clamp(min=1e-12)
        rows = torch.cat([rows / size, self.edge])
        outputs = torch.ops.quantized.linear_dynamic(rows, self.packed, False)[:-1] * size
        if self.bias is not None:
            outputs = outputs + self.bias
        return outputs.reshape(*inputs.shape[:-1], -1).to(inputs.dtype)


def reckon_in_eight_bits(module: nn.Module) -> None:
    """Replace every linear layer in `module`."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, Int8Linear(child))
        else:
            reckon_in_eight_bits(child)
