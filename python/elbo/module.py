"""Encoder and decoder as a torch.nn.Module."""
from __future__ import annotations

from typing import Any, Mapping

import numpy
import torch

from .networks import Architecture, Networks, Posterior
from .torch_arithmetic import PyTorch


class Module(torch.nn.Module):
    """Encoder and decoder with trainable parameters. state_dict() has the names of the checkpoint."""

    def __init__(self, architecture: Architecture, parameters: Mapping[str, numpy.ndarray],
                 buffers: Mapping[str, numpy.ndarray]) -> None:
        super().__init__()
        for name, value in parameters.items():
            owner, last = self._owner(name)
            owner.register_parameter(last, torch.nn.Parameter(torch.tensor(value)))
        for name, value in buffers.items():
            owner, last = self._owner(name)
            owner.register_buffer(last, torch.tensor(value))
        self.architecture = architecture
        self._networks()  # refuses models that it cannot compute

    def _owner(self, name: str) -> tuple[torch.nn.Module, str]:
        """The module that has the tensor `name`, and its name in it. Modules appear as they are named."""
        *path, last = name.split(".")
        owner: torch.nn.Module = self
        for part in path:
            if part not in dict(owner.named_children()):
                owner.add_module(part, torch.nn.Module())
            owner = owner.get_submodule(part)
        return owner, last

    def _networks(self) -> Networks:
        return Networks(self.architecture, {**dict(self.named_parameters()), **dict(self.named_buffers())}, PyTorch)

    def encode(self, x: Any, label: Any = None) -> Posterior:
        """As Networks.encode(), of tensors on the device of the parameters."""
        return self._networks().encode(x, label)

    def decode(self, z: Any, label: Any = None) -> torch.Tensor:
        """As Networks.decode()."""
        return self._networks().decode(z, label)

    def forward(self, x: Any, label: Any = None) -> torch.Tensor:
        """The reconstruction of rows: decode() of the means of their posteriors."""
        return self.decode(self.encode(x, label).mean, label)
