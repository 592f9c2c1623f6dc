"""Encoder and decoder of a model, from its parameters and its configuration (docs/weights.md)."""
from __future__ import annotations

import configparser
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional, Sequence

import numpy

from .arithmetic import STRIDE, NumPy

# Variants whose modules `encoder` and `decoder` are all that encode and decode need.
PLAIN = ("aae", "autoencoder", "beta_tc_vae", "beta_vae", "cvae", "denoising_vae", "dip_vae", "factor_vae", "gan", "info_vae",
         "iwae", "miwae", "vae", "vae_gan", "vamp_vae", "wae_mmd")
LIKELIHOODS = ("bernoulli", "categorical", "discretized_logistic", "gaussian", "laplace", "mixed", "multinomial", "negative_binomial",
               "poisson", "student_t", "zero_inflated_negative_binomial", "zero_inflated_poisson")
LOWEST_LOGVAR, HIGHEST_LOGVAR = -30, 20  # limits of log σ²
LOWEST_LOG_MEAN, HIGHEST_LOG_MEAN = -60, 30  # of counts
LOWEST_LOG_COUNT, HIGHEST_LOG_COUNT = -20, 20  # of a column of counts in a table
SMALLEST_NORM = 1e-12  # of a row of zeros


class Posterior(NamedTuple):
    """q(z|x) of each row."""

    mean: Any  # (n, latent): the code, for a deterministic encoder
    logvar: Any  # (n, latent), or None for a deterministic encoder


@dataclass(frozen=True)
class Architecture:
    """What the networks are made of, besides their parameters."""

    sections: Mapping[str, Mapping[str, str]]  # the resolved configuration
    row: Sequence[int]  # the shape of a row
    kind: str  # of the data set: image, tabular, …
    classes: int  # of the label; 0: it has none
    class_names: Sequence[str]
    label_features: int  # of a continuous label; 0: it has none
    masked: bool  # the encoder sees which elements are observed
    in_unit_interval: bool  # x is in [0, 1] after the transform

    @staticmethod
    def of(config: str, data: Mapping[str, Any]) -> Architecture:
        """Of a configuration as text, and what is known about the data set."""
        return Architecture(read_ini(config), **data)

    @property
    def model(self) -> str:
        return self.sections["model"]["name"]

    @property
    def normalize(self) -> str:
        return self.sections["data"]["normalize"]

    @property
    def likelihood(self) -> str:
        name = self.sections["model"]["likelihood"]
        if name != "auto":
            return name
        return "bernoulli" if self.in_unit_interval and self.kind in ("image", "volume") else "gaussian"

    @property
    def input(self) -> str:
        return self.sections["network"].get("input", "raw")


class Networks:
    """Encoder and decoder. Rows are as the data set stores them: bytes of images, columns in their units, (n, …row) with channels
    first. label: (n) class numbers or (n, k) values, which conditional models need."""

    def __init__(self, architecture: Architecture, tensors: Mapping[str, Any], arithmetic: Any = NumPy) -> None:
        """arithmetic: what computes (elbo/arithmetic.py). Raises NotImplementedError for a model that is not one of PLAIN."""
        if architecture.model not in PLAIN:
            raise NotImplementedError(
                f"model.name={architecture.model}: its networks are not available in Python; use elbo encode and elbo decode. "
                f"Available are {', '.join(PLAIN)}")
        if architecture.likelihood not in LIKELIHOODS:
            raise NotImplementedError(f"model.likelihood={architecture.likelihood}: its mean is not available in Python; "
                                      f"use elbo encode and elbo decode. Available are {', '.join(LIKELIHOODS)}")
        self.architecture = architecture
        self._tensors = tensors
        self._do = arithmetic
        self._activation = arithmetic.activation(architecture.sections["network"]["activation"])
        self.latent = int(architecture.sections["model"]["latent"])

    def encode(self, x: Any, label: Any = None) -> Posterior:
        """The numbers that `elbo encode` writes. Missing elements, NaN, are left out where the model was trained with
        data.missing=mask."""
        x = self._do.array(x)
        self._require_shape("x", x, self.architecture.row)
        output = self._dense("encoder.mlp", self._features(self._seen(self._transformed(x)), self._condition(label, len(x))))
        if output.shape[1] == self.latent:
            return Posterior(output, None)
        return Posterior(output[:, :self.latent], self._do.clip(output[:, self.latent:], LOWEST_LOGVAR, HIGHEST_LOGVAR))

    def decode(self, z: Any, label: Any = None) -> Any:
        """The mean of p(x|z), (n, …row): the numbers that `elbo decode` writes to .h5. They are in the units of the data set, but
        images of bytes are in [0, 1]."""
        z = self._do.float32(self._do.array(z))
        self._require_shape("z", z, (self.latent,))
        condition = self._condition(label, len(z))
        return self._in_units(self._mean(self._decoded(z if condition is None else self._do.concatenate((z, condition), 1))))

    def _require_shape(self, name: str, values: Any, expected: Sequence[int]) -> None:
        if tuple(values.shape[1:]) != tuple(expected):
            raise ValueError(f"{name} has the shape {tuple(values.shape)}; expected {('n', *expected)}")

    def _condition(self, label: Any, rows: int) -> Any:
        """What a conditional model sees besides x and z, (n, k); else None."""
        if self.architecture.model != "cvae":
            return None
        if label is None or len(label) != rows:
            raise ValueError(f"model.name=cvae: expected a label for each of {rows} rows")
        label = self._do.array(label)
        if self.architecture.classes > 0:
            return self._do.one_hot(label, self.architecture.classes)
        return self._do.float32(label.reshape(rows, -1))

    def _transformed(self, x: Any) -> Any:
        """data.normalize. Numbers of a floating-point type are taken as bytes that are divided by 255 already."""
        values = self._do.float32(x)
        kind = self.architecture.normalize
        if kind == "bytes" or (kind == "auto" and self._do.is_whole(x)):
            return values / 255 if self._do.is_whole(x) else values
        if kind == "log1p":
            return self._do.log1p(values)
        if kind in ("none", "auto"):
            return values
        return (values - self._tensors["input_shift"]) / self._tensors["input_scale"]

    def _in_units(self, y: Any) -> Any:
        kind = self.architecture.normalize
        if kind == "log1p":
            return self._do.expm1(y)
        if kind in ("none", "auto", "bytes"):
            return y
        return y * self._tensors["input_scale"] + self._tensors["input_shift"]

    def _seen(self, x: Any) -> Any:
        """The encoder's input: compressed as the likelihood and network.input say, 0 where elements are missing, and a mask of
        the observed ones after it where the model has one."""
        missing = self._do.isnan(x)
        values = self._do.where(missing, 0, x) if self.architecture.masked else x
        if self.architecture.likelihood == "mixed":
            counted = [self._do.log1p(part) if kind == "count" else part for kind, part in self._blocks(values)]
            values = self._do.concatenate(counted, -1)
        if self.architecture.input == "log1p":
            values = self._do.sign(values) * self._do.log1p(abs(values))
        elif self.architecture.input == "l2":
            flat = values.reshape(len(values), -1)
            values = (flat / self._do.clip(self._do.norm_of_rows(flat), SMALLEST_NORM, None)).reshape(x.shape)
        if not self.architecture.masked:
            return values
        return self._do.concatenate((values, self._do.float32(~missing)), 1)

    def _features(self, x: Any, condition: Any) -> Any:
        """What the dense layers of the encoder see, (n, features)."""
        for layer in self._layers("encoder", "conv"):
            x = self._activation(self._do.convolution(x, *self._weights(layer)))
        flat = x.reshape(len(x), -1)
        return flat if condition is None else self._do.concatenate((flat, condition), 1)

    def _decoded(self, z: Any) -> Any:
        """(n, parameter channels, …row)."""
        row = tuple(self.architecture.row)
        out = self._dense("decoder.mlp", z)
        layers = self._layers("decoder", "conv")
        if not layers:
            return out.reshape(len(z), -1, *row)
        sides = [row[1:]]
        for _ in layers:
            sides.append(tuple(side // STRIDE for side in sides[-1]))
        out = out.reshape(len(z), -1, *sides[-1])
        for layer, reached in zip(layers, reversed(sides[:-1])):
            out = self._do.transposed_convolution(self._activation(out), *self._weights(layer), reached)
        return out.reshape(len(z), -1, *row)

    def _dense(self, name: str, x: Any) -> Any:
        layers = self._layers(name, "dense")
        for layer in layers:
            x = self._do.linear(x if layer == layers[0] else self._activation(x), *self._weights(layer))
        return x

    def _layers(self, owner: str, kind: str) -> list[str]:
        """kind0, kind1, …, as many as there are."""
        names: list[str] = []
        while f"{owner}.{kind}{len(names)}.weight" in self._tensors:
            names.append(f"{owner}.{kind}{len(names)}")
        return names

    def _weights(self, layer: str) -> tuple[Any, Any]:
        return self._tensors[f"{layer}.weight"], self._tensors[f"{layer}.bias"]

    def _mean(self, decoded: Any) -> Any:
        """E[x|z] of the likelihood's parameters, (n, parameter channels, …row) → (n, …row)."""
        first, likelihood = decoded[:, 0], self.architecture.likelihood
        if likelihood == "bernoulli":
            return self._do.sigmoid(first)
        if likelihood == "discretized_logistic":
            return self._do.clip(first, 0, 1)
        if likelihood == "categorical":
            return self._do.mean_of_levels(self._do.softmax(decoded, 1))
        if likelihood == "multinomial":
            return self._do.softmax(first.reshape(len(first), -1), 1).reshape(first.shape)
        if likelihood == "mixed":
            return self._do.concatenate([self._mean_of_block(kind, part) for kind, part in self._blocks(first)], -1)
        if likelihood.endswith(("poisson", "negative_binomial")):
            return self._mean_of_counts(decoded)
        return first

    def _mean_of_counts(self, decoded: Any) -> Any:
        log_mean = self._do.float64(decoded[:, 0])
        model = self.architecture.sections["model"]
        if model["library"] == "observed":
            flat = log_mean.reshape(len(log_mean), -1)
            size = math.log(float(model["library_size"]))
            log_mean = (self._do.log_softmax(flat, 1) + size).reshape(log_mean.shape)
        mean = self._do.exp(self._do.clip(log_mean, LOWEST_LOG_MEAN, HIGHEST_LOG_MEAN))
        if self.architecture.likelihood.startswith("zero_inflated_"):
            mean = mean * self._do.sigmoid(-self._do.float64(decoded[:, 1]))
        return self._do.float32(mean)

    def _blocks(self, rows: Any) -> list[tuple[str, Any]]:
        """model.likelihood_columns: each kind with its columns of the rows."""
        blocks, first = [], 0
        for block in self.architecture.sections["model"]["likelihood_columns"].split(","):
            kind, _, number = block.strip().partition(":")
            end = first + int(number or 1)
            blocks.append((kind.strip(), rows[..., first:end]))
            first = end
        return blocks

    def _mean_of_block(self, kind: str, part: Any) -> Any:
        if kind == "bernoulli":
            return self._do.sigmoid(part)
        if kind == "count":
            bounded = self._do.clip(self._do.float64(part), LOWEST_LOG_COUNT, HIGHEST_LOG_COUNT)
            return self._do.float32(self._do.exp(bounded))
        return self._do.softmax(part, -1) if kind == "categorical" else part


def read_ini(text: str) -> dict[str, dict[str, str]]:
    """Sections of a configuration of elbo, each with its keys and their values as texts."""
    parser = configparser.RawConfigParser(delimiters="=", comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return {section: dict(parser[section]) for section in parser.sections()}


class _Exported(NamedTuple):
    architecture: Architecture
    parameters: dict[str, numpy.ndarray]
    buffers: dict[str, numpy.ndarray]


def _read_exported(path: str | os.PathLike[str]) -> _Exported:
    """A file of `elbo export`. safetensors: a length of 8 bytes, a header in JSON, and the tensors."""
    types = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}
    content = Path(path).read_bytes()
    length = int.from_bytes(content[:8], "little")
    if length > len(content) - 8:
        raise ValueError(f"{path}: is not a file of safetensors, or is damaged; elbo export RUN --out={path} writes it")
    header = json.loads(content[8:8 + length])
    about = header.pop("__metadata__", {})
    if "data" not in about:
        raise ValueError(f"{path}: says nothing about the rows of its data set; export it again, with elbo export RUN --out={path}")
    tensors = {}
    for name, tensor in header.items():
        first, end = tensor["data_offsets"]
        tensors[name] = numpy.frombuffer(content[8 + length + first:8 + length + end], types[tensor["dtype"]]).reshape(tensor["shape"])
    names = set(json.loads(about["buffers"]))
    return _Exported(
        Architecture.of(about["config"], json.loads(about["data"])),
        {name: tensor for name, tensor in tensors.items() if name not in names},
        {name: tensor for name, tensor in tensors.items() if name in names},
    )


def load_networks(path: str | os.PathLike[str]) -> Networks:
    """Encoder and decoder of a file of `elbo export RUN --out=FILE.safetensors`, computed by NumPy."""
    exported = _read_exported(path)
    return Networks(exported.architecture, {**exported.parameters, **exported.buffers})


def load_module(path: str | os.PathLike[str]) -> Any:
    """The same as a torch.nn.Module, whose state_dict() has the names of the file."""
    return module_of(*_read_exported(path))


def module_of(architecture: Architecture, parameters: Mapping[str, numpy.ndarray], buffers: Mapping[str, numpy.ndarray]) -> Any:
    """Encoder and decoder as a torch.nn.Module with these parameters and buffers. Raises ImportError without PyTorch."""
    from .module import Module

    return Module(architecture, parameters, buffers)
