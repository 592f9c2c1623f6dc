"""The folder of a run: configuration, metrics, checkpoints."""
from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import h5py
import numpy

from .codes import texts_of
from .networks import Architecture, Networks, module_of, read_ini


def _texts_in_lines(lines: str) -> list[str]:
    """The texts that a checkpoint keeps as lines: a line break in a text is \\n, a backslash is \\\\."""
    texts = lines.split("\n") if lines else []
    return [re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text) for text in texts]


@dataclass(frozen=True)
class Checkpoint:
    """A file of RUN/checkpoints (docs/checkpoint_format.md)."""

    path: Path
    step: int

    def _arrays(self, group: str) -> dict[str, numpy.ndarray]:
        with h5py.File(self.path) as file:
            return {name: file[group][name][()] for name in file.get(group, ())}

    @property
    def parameters(self) -> dict[str, numpy.ndarray]:
        """All parameters by their names, float32."""
        return self._arrays("parameters")

    @property
    def buffers(self) -> dict[str, numpy.ndarray]:
        """What belongs to the model and is not trained, such as input_shift and input_scale."""
        return self._arrays("buffers")

    @property
    def attributes(self) -> dict[str, Any]:
        """step, fingerprint, config, data_row, …"""
        with h5py.File(self.path) as file:
            return dict(file.attrs)

    def architecture(self) -> Architecture:
        """What the networks are made of."""
        about = self.attributes
        names = str(about.get("data_class_names", ""))
        return Architecture.of(
            str(about["config"]),
            {
                "row": [int(side) for side in str(about["data_row"]).split(",")],
                "kind": str(about["data_kind"]),
                "classes": int(about["data_classes"]),
                "class_names": _texts_in_lines(names),
                "label_features": int(about["data_label_features"]),
                "masked": bool(about.get("data_masked", 0)),
                "in_unit_interval": bool(about["data_in_unit_interval"]),
            },
        )


@dataclass(frozen=True)
class Run:
    """A run that `elbo train` has made. Nothing is written, and each call reads the files as they are then."""

    directory: Path

    @property
    def configuration(self) -> dict[str, dict[str, str]]:
        """Sections of run.ini, each with its keys and their values as texts."""
        return read_ini((self.directory / "run.ini").read_text(encoding="utf-8"))

    def metrics(self, split: Optional[str] = None) -> Any:
        """The lines of metrics.jsonl, of one split or of all: a pandas.DataFrame, or a list of dicts without pandas. A value inside
        another has both keys in its name, such as "terms.kl" (docs/metrics.md)."""
        lines = [_flat(json.loads(line)) for line in _whole_lines(self.directory / "metrics.jsonl")]
        chosen = [line for line in lines if split is None or line["split"] == split]
        try:
            import pandas
        except ImportError:
            return chosen
        return pandas.DataFrame(chosen)

    @property
    def evaluation(self) -> dict[str, Any]:
        """What `elbo evaluate` has written."""
        path = self.directory / "evaluation.json"
        if not path.exists():
            raise FileNotFoundError(f"{path}: is not there; elbo evaluate {self.directory} writes it")
        return json.loads(path.read_text(encoding="utf-8"))

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints, the oldest first."""
        found = (self.directory / "checkpoints").glob("step_*.h5")
        return sorted((Checkpoint(path, int(path.stem[len("step_"):])) for path in found), key=lambda each: each.step)

    def checkpoint(self, which: str | int = "newest") -> Checkpoint:
        """newest, best, or the one of a step. Raises FileNotFoundError where there is none."""
        there = self.checkpoints
        if which == "newest" and there:
            return there[-1]
        best = self.directory / "checkpoints/best.h5"
        if which == "best" and best.exists():
            with h5py.File(best) as file:
                return Checkpoint(best, int(file.attrs["step"]))
        for checkpoint in there:
            if checkpoint.step == which:
                return checkpoint
        steps = ", ".join(str(checkpoint.step) for checkpoint in there) or "none"
        raise FileNotFoundError(f"{self.directory}: has no checkpoint {which!r}; expected newest, best or one of the steps: {steps}")

    @property
    def classes(self) -> list[str]:
        """Names of the classes of the data set, by number; their numbers where they have no names; empty without classes."""
        architecture = self.checkpoint().architecture()
        return architecture.class_names or [str(number) for number in range(architecture.classes)]

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the data set; empty where it has none."""
        path = self.directory / "description.h5"
        if not path.exists():
            return []
        with h5py.File(path) as file:
            there = [name for name in ("features", "items") if isinstance(file.get(name), h5py.Dataset)]
            return texts_of(file[there[0]][()]) if there else []

    def networks(self, checkpoint: str | int = "newest") -> Networks:
        """Encoder and decoder with the parameters of a checkpoint, computed by NumPy. Raises NotImplementedError for models whose
        networks this package does not have."""
        chosen = self.checkpoint(checkpoint)
        return Networks(chosen.architecture(), {**chosen.parameters, **chosen.buffers})

    def module(self, checkpoint: str | int = "newest") -> Any:
        """The same as a torch.nn.Module."""
        chosen = self.checkpoint(checkpoint)
        return module_of(chosen.architecture(), chosen.parameters, chosen.buffers)


def open_run(directory: str | os.PathLike[str]) -> Run:
    """The run in a folder. Raises FileNotFoundError where there is none."""
    path = Path(directory)
    if not (path / "run.ini").exists():
        raise FileNotFoundError(f"{path}: has no run.ini; expected the folder that elbo train made")
    return Run(path)


def _whole_lines(path: Path) -> list[str]:
    """A run that trains may be writing the last line."""
    return [line for line in path.read_text(encoding="utf-8").split("\n")[:-1] if line]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
