#!/usr/bin/env python3
"""Runs the code cells of notebooks in order, without Jupyter, and keeps their outputs in the files.

    python/notebooks/execute.py NOTEBOOK.ipynb…
"""
from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any


def shown(value: Any) -> dict[str, Any]:
    """A value as Jupyter shows it: as text, and as a picture or a table where it is one."""
    data: dict[str, Any] = {"text/plain": lines_of(repr(value) if not hasattr(value, "_repr_svg_") else "a picture")}
    if hasattr(value, "_repr_svg_"):
        data["image/svg+xml"] = lines_of(value._repr_svg_())
    if hasattr(value, "_repr_png_"):
        data["text/plain"] = ["a picture"]
        data["image/png"] = base64.b64encode(value._repr_png_()).decode()
    if hasattr(value, "_repr_html_"):
        data["text/html"] = lines_of(value._repr_html_())
    return data


def lines_of(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def run_cell(source: str, names: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """The outputs of a cell: what it prints, and the value of its last line. Raises what the cell raises."""
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value) if tree.body and isinstance(tree.body[-1], ast.Expr) else None  # type: ignore[attr-defined]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"cell {number}", "exec"), names)
        value = eval(compile(last, f"cell {number}", "eval"), names) if last else None
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": lines_of(printed.getvalue())})
    if value is not None:
        outputs.append({"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": shown(value)})
    return outputs


def execute(path: Path) -> dict[str, Any]:
    """The notebook with the outputs of all cells, run in its folder."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        for number, cell in enumerate(code, 1):
            cell["outputs"] = run_cell("".join(cell["source"]), names, number)
            cell["execution_count"] = number
    finally:
        os.chdir(before)
    return notebook


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    for path in map(Path, sys.argv[1:]):
        notebook = execute(path)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
