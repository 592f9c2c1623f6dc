"""Codes of rows, as `elbo encode RUN DATA --out=CODES.h5` writes them."""
from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Optional

import h5py
import numpy


@dataclass(frozen=True)
class Codes:
    """The codes of N rows of a data set, in the order of its rows."""

    z: numpy.ndarray  # (N, latent): the posterior's mean, or the code
    logvar: Optional[numpy.ndarray] = None  # (N, latent): None for models without a Gaussian posterior
    row: Optional[numpy.ndarray] = None  # (N): number of the row in its split
    split: Optional[list[str]] = None  # (N): None where all rows are of one split
    name: Optional[list[str]] = None  # (N): None where rows have no names
    label: Optional[numpy.ndarray] = None  # (N) class numbers, or (N, k) values
    classes: Optional[list[str]] = None  # the names of the classes, by number

    def __len__(self) -> int:
        return len(self.z)

    @property
    def class_of_row(self) -> Optional[list[str]]:
        """(N): the name of each row's class; None where classes have no names."""
        if self.label is None or not self.classes:
            return None
        return [self.classes[number] if 0 <= number < len(self.classes) else "" for number in self.label]

    def frame(self) -> Any:
        """A pandas.DataFrame with a line for each row: z_0, z_1, …, then split, row, label and class; names are the index."""
        import pandas

        columns: dict[str, Any] = {f"z_{i}": self.z[:, i] for i in range(self.z.shape[1])}
        columns.update({"split": self.split, "row": self.row, "class": self.class_of_row})
        if self.label is not None and self.label.ndim == 1:
            columns["label"] = self.label
        there = {name: values for name, values in columns.items() if values is not None}
        return pandas.DataFrame(there, index=None if self.name is None else pandas.Index(self.name, name="name"))


def texts_of(values: Any) -> list[str]:
    """Texts of HDF5, which are bytes or str."""
    return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]


def read_codes(path: str | os.PathLike[str]) -> Codes:
    """The codes in a file of `elbo encode`. Raises ValueError for a file without /z."""
    with h5py.File(path) as file:
        if "z" not in file:
            raise ValueError(f"{path}: has no dataset /z; expected codes, as elbo encode writes them with --out=CODES.h5")

        def array(name: str) -> Optional[numpy.ndarray]:
            return file[name][()] if name in file else None

        label = file.get("label")
        split = file.get("split")
        names = texts_of(split.attrs["names"]) if split is not None else []
        classes = label.attrs.get("class_names") if label is not None else None
        return Codes(
            z=file["z"][()],
            logvar=array("logvar"),
            row=array("row"),
            split=None if split is None else [names[number] for number in split[()]],
            name=texts_of(file["name"][()]) if "name" in file else None,
            label=array("label"),
            classes=None if classes is None else texts_of(classes),
        )
