#!/usr/bin/env python3
"""A step of training with train.kernels=portable, computed again from docs/reproducibility.md with exact fractions."""
import fractions
import unittest

import h5py
import numpy

from program import ProgramTest

MASK = (1 << 64) - 1
GOLDEN = 0x9e3779b97f4a7c15


def rounded(x):
    """The nearest float32 of a fraction, ties to even; in the range of normal numbers."""
    if x == 0:
        return fractions.Fraction(0)
    size = abs(x)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if size < fractions.Fraction(2) ** exponent:
        exponent -= 1
    unit = fractions.Fraction(2) ** (exponent - 23)
    return round(x / unit) * unit


def fma(a, b, c):
    return rounded(a * b + c)


def exact(array):
    return [exact(row) for row in array] if array.ndim else fractions.Fraction(float(array))


def transposed(a):
    return [list(column) for column in zip(*a)]


def product(a, b, start=None):
    """start + a·b: one chain of fused multiply-adds for each element."""
    result = []
    for row in a:
        result.append([])
        for j in range(len(b[0])):
            c = start[j] if start else fractions.Fraction(0)
            for k, left in enumerate(row):
                c = fma(left, b[k][j], c)
            result[-1].append(c)
    return result


def column_sums(a):
    sums = [fractions.Fraction(0)] * len(a[0])
    for row in a:
        sums = [rounded(s + x) for s, x in zip(sums, row)]
    return sums


def mix64(x):
    x ^= x >> 30
    x = x * 0xbf58476d1ce4e5b9 & MASK
    x ^= x >> 27
    x = x * 0x94d049bb133111eb & MASK
    return x ^ x >> 31


def with_part(key, part):
    if isinstance(part, str):
        value = 0xcbf29ce484222325
        for byte in part.encode():
            value = (value ^ byte) * 0x100000001b3 & MASK
        part = value
    return mix64(mix64((key + GOLDEN) & MASK) ^ (part * GOLDEN + 1 & MASK))


def row_at(position, rows, seed):
    """The row at a position of the stream of samples: a Feistel network over the rows of an epoch, with cycle walking."""
    key = with_part(with_part(mix64(seed + GOLDEN & MASK), "order"), position // rows)
    half = max(1, ((rows - 1).bit_length() + 1) // 2)
    keys = [with_part(with_part(key, "feistel"), i) for i in range(6)]
    i = position % rows
    while True:
        left, right = i >> half, i & ((1 << half) - 1)
        for round_key in keys:
            left, right = right, left ^ mix64(right + round_key & MASK) & ((1 << half) - 1)
        i = left << half | right
        if i < rows:
            return i


class Layer:
    def __init__(self, weight, bias):
        self.weight, self.bias = weight, bias  # (out, in), (out)

    def forward(self, x):
        self.x = x
        return product(x, transposed(self.weight), self.bias)

    def backward(self, dy):
        """Gradients of weight, bias and x."""
        return product(transposed(dy), self.x), column_sums(dy), product(dy, self.weight)


def relu(x):
    return [[max(value, fractions.Fraction(0)) for value in row] for row in x]


def gradients(layers, x, batch):
    """Of Σ |x - y|²/2 / batch, the loss of a gaussian likelihood with the scale 1, for a microbatch x."""
    inputs, pre_activations = x, []
    for i, layer in enumerate(layers):
        pre_activations.append(layer.forward(inputs))
        inputs = pre_activations[-1] if i in (1, 3) else relu(pre_activations[-1])
    dy = [[-rounded(a - b) / batch for a, b in zip(row, other)] for row, other in zip(x, inputs)]
    result = []
    for i in reversed(range(len(layers))):
        dw, db, dx = layers[i].backward(dy)
        result[:0] = [dw, [db]]
        if i in (1, 3):  # the layer before it has a ReLU
            dx = [[d if h > 0 else fractions.Fraction(0) for d, h in zip(row, pre)]
                  for row, pre in zip(dx, pre_activations[i - 1])]
        dy = dx
    return result


class OneStep(ProgramTest):
    ROWS, BATCH, MICROBATCH, SEED = 7, 4, 2, 5

    def parameters(self, name, step):
        with h5py.File(self.folder / f"{name}/checkpoints/step_{step:09d}.h5") as file:
            group = file["parameters"]
            return {key: group[key][()] for key in group.attrs["order"].split("\n") if key}

    def test_another_program_computes_the_same_bits(self):
        rows = numpy.random.default_rng(1).normal(size=(self.ROWS, 5)).astype("f4")
        data = self.folder / "rows.h5"
        with h5py.File(data, "w") as file:
            file["train/x"] = rows
        for name, steps in (("before", 1), ("after", 2)):
            self.train(0, name, "--model.name=autoencoder", "--model.latent=2", "--model.likelihood=gaussian",
                       "--model.likelihood_variance=fixed",
                       "--network.kind=mlp", "--network.hidden=4", "--network.activation=relu", "--optimizer.name=sgd",
                       "--optimizer.lr=0.125", f"--train.batch={self.BATCH}", f"--train.microbatch={self.MICROBATCH}",
                       f"--train.seed={self.SEED}", f"--train.steps={steps}", "--train.kernels=portable",
                       "--data.normalize=none", "--evaluate.every=never", config=data)
        before, after = self.parameters("before", 1), self.parameters("after", 2)
        self.assertEqual(len(before), 8)
        values = [exact(value) for value in before.values()]
        layers = [Layer(values[i], values[i + 1]) for i in range(0, 8, 2)]
        first = self.BATCH  # of the second step
        ids = [row_at(first + i, self.ROWS, self.SEED) for i in range(self.BATCH)]
        parts = [gradients(layers, exact(rows[ids[i:i + self.MICROBATCH]]), self.BATCH)
                 for i in range(0, self.BATCH, self.MICROBATCH)]
        for i, (name, found) in enumerate(after.items()):
            old = values[i] if isinstance(values[i][0], list) else [values[i]]
            expected = [[float(rounded(p + rounded(rounded(a + b) * fractions.Fraction(-1, 8))))
                         for p, a, b in zip(*lines)] for lines in zip(old, parts[0][i], parts[1][i])]
            numpy.testing.assert_array_equal(found.reshape(len(old), -1), numpy.array(expected, "f4"), err_msg=name)
            self.assertFalse(numpy.array_equal(found, before[name]), name)


if __name__ == "__main__":
    unittest.main()
