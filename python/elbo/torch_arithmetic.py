"""The functions of elbo.arithmetic.NumPy, computed by PyTorch: with gradients, and on the device of the parameters."""
from __future__ import annotations

from typing import Any, Callable, Sequence

import torch
from torch.nn import functional

from .arithmetic import PADDING, STRIDE


class PyTorch:
    """Tensors of PyTorch."""

    array = staticmethod(torch.as_tensor)
    isnan = staticmethod(torch.isnan)
    where = staticmethod(torch.where)
    log1p = staticmethod(torch.log1p)
    expm1 = staticmethod(torch.expm1)
    exp = staticmethod(torch.exp)
    sign = staticmethod(torch.sign)
    clip = staticmethod(torch.clamp)
    sigmoid = staticmethod(torch.sigmoid)
    softmax = staticmethod(torch.softmax)
    log_softmax = staticmethod(torch.log_softmax)
    linear = staticmethod(functional.linear)

    @staticmethod
    def float32(x: torch.Tensor) -> torch.Tensor:
        return x.to(torch.float32)

    @staticmethod
    def float64(x: torch.Tensor) -> torch.Tensor:
        return x.to(torch.float64)

    @staticmethod
    def is_whole(x: torch.Tensor) -> bool:
        return not x.is_floating_point()

    @staticmethod
    def concatenate(parts: Sequence[torch.Tensor], dimension: int) -> torch.Tensor:
        return torch.cat(list(parts), dimension)

    @staticmethod
    def one_hot(label: torch.Tensor, classes: int) -> torch.Tensor:
        return functional.one_hot(label.to(torch.int64), classes).to(torch.float32)

    @staticmethod
    def norm_of_rows(x: torch.Tensor) -> torch.Tensor:
        return x.square().sum(1, keepdim=True).sqrt()

    @staticmethod
    def mean_of_levels(probability: torch.Tensor) -> torch.Tensor:
        values = torch.linspace(0, 1, probability.shape[1], device=probability.device)
        return torch.tensordot(probability, values, ([1], [0]))

    @staticmethod
    def convolution(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        convolve: Any = functional.conv2d if x.dim() == 4 else functional.conv3d
        return convolve(x, weight, bias, STRIDE, PADDING)

    @staticmethod
    def transposed_convolution(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, sides: Sequence[int]) -> torch.Tensor:
        convolve: Any = functional.conv_transpose2d if x.dim() == 4 else functional.conv_transpose3d
        return convolve(x, weight, bias, STRIDE, PADDING, [side % STRIDE for side in sides])

    @staticmethod
    def activation(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
        return torch.tanh if name == "tanh" else getattr(functional, name)
