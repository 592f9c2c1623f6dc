"""The layers of docs/weights.md, computed by NumPy or by PyTorch. Both have the same functions."""
from __future__ import annotations

import itertools
import math
from typing import Any, Callable, Sequence

import numpy

# Convolutions halve the sides of images and volumes, transposed ones double them.
KERNEL, STRIDE, PADDING = 4, 2, 1


class NumPy:
    """Arrays of NumPy, float32 unless it says otherwise."""

    @staticmethod
    def array(values: Any) -> numpy.ndarray:
        return numpy.asarray(values)

    @staticmethod
    def float32(x: numpy.ndarray) -> numpy.ndarray:
        return x.astype(numpy.float32)

    @staticmethod
    def float64(x: numpy.ndarray) -> numpy.ndarray:
        return x.astype(numpy.float64)

    @staticmethod
    def is_whole(x: numpy.ndarray) -> bool:
        """Whether the numbers are of a type of integers."""
        return x.dtype.kind in "iub"

    isnan = staticmethod(numpy.isnan)
    where = staticmethod(numpy.where)
    log1p = staticmethod(numpy.log1p)
    expm1 = staticmethod(numpy.expm1)
    exp = staticmethod(numpy.exp)
    sign = staticmethod(numpy.sign)
    clip = staticmethod(numpy.clip)

    @staticmethod
    def concatenate(parts: Sequence[numpy.ndarray], dimension: int) -> numpy.ndarray:
        return numpy.concatenate(parts, dimension)

    @staticmethod
    def one_hot(label: numpy.ndarray, classes: int) -> numpy.ndarray:
        return numpy.eye(classes, dtype=numpy.float32)[label]

    @staticmethod
    def norm_of_rows(x: numpy.ndarray) -> numpy.ndarray:
        """(n, k) → (n, 1)."""
        return numpy.sqrt(numpy.square(x).sum(1, keepdims=True))

    @staticmethod
    def sigmoid(x: numpy.ndarray) -> numpy.ndarray:
        return 0.5 * (1 + numpy.tanh(0.5 * x))

    @staticmethod
    def softmax(x: numpy.ndarray, dimension: int) -> numpy.ndarray:
        powers = numpy.exp(x - x.max(dimension, keepdims=True))
        return powers / powers.sum(dimension, keepdims=True)

    @staticmethod
    def log_softmax(x: numpy.ndarray, dimension: int) -> numpy.ndarray:
        shifted = x - x.max(dimension, keepdims=True)
        return shifted - numpy.log(numpy.exp(shifted).sum(dimension, keepdims=True))

    @staticmethod
    def mean_of_levels(probability: numpy.ndarray) -> numpy.ndarray:
        """(n, levels, …row) → (n, …row): the mean of values 0 … 1, which are at equal distances."""
        values = numpy.linspace(0, 1, probability.shape[1], dtype=numpy.float32)
        return numpy.tensordot(probability, values, (1, 0))

    @staticmethod
    def linear(x: numpy.ndarray, weight: numpy.ndarray, bias: numpy.ndarray) -> numpy.ndarray:
        return x @ weight.T + bias

    @staticmethod
    def convolution(x: numpy.ndarray, weight: numpy.ndarray, bias: numpy.ndarray) -> numpy.ndarray:
        """x (n, in, …sides), weight (out, in, …kernel) → (n, out, …sides // 2): a sum over the places of the kernel."""
        sides = [side // STRIDE for side in x.shape[2:]]
        padded = numpy.pad(x, [(0, 0), (0, 0), *[(PADDING, PADDING)] * len(sides)])
        out = 0
        for place in itertools.product(range(KERNEL), repeat=len(sides)):
            seen = tuple(slice(first, first + STRIDE * side, STRIDE) for first, side in zip(place, sides))
            out = out + numpy.tensordot(weight[(..., *place)], padded[(slice(None), slice(None), *seen)], (1, 1))
        return numpy.moveaxis(out, 0, 1) + bias.reshape(-1, *[1] * len(sides))

    @staticmethod
    def transposed_convolution(x: numpy.ndarray, weight: numpy.ndarray, bias: numpy.ndarray, sides: Sequence[int]) -> numpy.ndarray:
        """x (n, in, …), weight (in, out, …kernel) → (n, out, …sides)."""
        padded = numpy.zeros((weight.shape[1], len(x), *(side + 2 * PADDING + 1 for side in sides)), numpy.float32)
        for place in itertools.product(range(KERNEL), repeat=len(sides)):
            reached = tuple(slice(first, first + STRIDE * side, STRIDE) for first, side in zip(place, x.shape[2:]))
            padded[(slice(None), slice(None), *reached)] += numpy.tensordot(weight[(..., *place)], x, (0, 1))
        inside = tuple(slice(PADDING, PADDING + side) for side in sides)
        return numpy.moveaxis(padded[(slice(None), slice(None), *inside)], 0, 1) + bias.reshape(-1, *[1] * len(sides))

    @staticmethod
    def activation(name: str) -> Callable[[numpy.ndarray], numpy.ndarray]:
        erf = numpy.vectorize(math.erf, otypes=[numpy.float32])
        return {
            "relu": lambda x: numpy.maximum(x, 0),
            "leaky_relu": lambda x: numpy.where(x > 0, x, numpy.float32(0.01) * x),
            "elu": lambda x: numpy.where(x > 0, x, numpy.expm1(numpy.minimum(x, 0))),
            "gelu": lambda x: 0.5 * x * (1 + erf(x * numpy.float32(math.sqrt(0.5)))),
            "silu": lambda x: x * NumPy.sigmoid(x),
            "tanh": numpy.tanh,
            "softplus": lambda x: numpy.logaddexp(x, numpy.float32(0)),
        }[name]
