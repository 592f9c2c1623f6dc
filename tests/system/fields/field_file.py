"""The list of files that the fields write, and what `elbo train` does with each: the table in docs/data_format.md.

A file is a function that writes it with the library of its field, and returns the rows that elbo has to read, or
(rows, labels); for a file that is refused, those that it reads after the remedy in the sentence, or nothing if that is not
tried. It imports its libraries itself: the list is complete where they are missing.
"""
import dataclasses
import typing

FILES = []


@dataclasses.dataclass(frozen=True)
class FieldFile:
    title: str
    library: str  # that the table names
    name: str  # of the file
    write: typing.Callable
    settings: tuple  # of `elbo train`
    refused: str  # part of the sentence; "": it is trained
    remedy: str  # of what is refused: "Python", "elbo convert csv", or both
    new: bool  # written with the HDF5 and the plugins in deps/python
    tolerance: float  # of the numbers that are read, relative to the largest

    @property
    def outcome(self):
        """As the table has it."""
        if not self.refused:
            return "trains" + (f" with `{' '.join(self.settings)}`" if self.settings else "")
        return f"refused: “{self.refused}”" + (f"; remedy: {self.remedy}" if self.remedy else "")


def field_file(title, library, name, *settings, refused="", remedy="", new=False, tolerance=1e-6):
    def enlist(write):
        FILES.append(FieldFile(title, library, name, write, settings, refused, remedy, new, tolerance))
        return write
    return enlist


def table():
    """In Markdown."""
    lines = ["| file | written with | `elbo train` |", "|---|---|---|"]
    lines += [f"| {file.title} | {file.library} | {file.outcome} |" for file in FILES]
    return "".join(line + "\n" for line in lines)
