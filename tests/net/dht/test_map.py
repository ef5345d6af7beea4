"""The map in the docstring of `net.dht` shows every module, above those that it imports."""

from __future__ import annotations

import ast
from pathlib import Path

import net.dht

HERE = Path(net.dht.__file__).parent
MODULES = {path.stem: path for path in HERE.glob("*.py") if path.stem != "__init__"}


def rows() -> list[list[str]]:
    """The names in each line of the map; what follows them is prose."""
    lines = [line.strip() for line in (net.dht.__doc__ or "").splitlines() if line[:4].isspace()]
    columns = [line.partition("  ")[0].split() for line in lines]
    return [names for names in columns if names and set(names) <= set(MODULES)]


def imported(path: Path) -> set[str]:
    """The modules of the folder that one of them imports."""
    return {
        node.module.rpartition(".")[2]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("net.dht.")
    }


def test_each_module_is_shown_once() -> None:
    shown = [name for row in rows() for name in row]
    assert sorted(shown) == sorted(MODULES)


def test_none_imports_what_is_shown_above_it() -> None:
    level = {name: number for number, row in enumerate(rows()) for name in row}
    upwards = [
        f"{name} imports {other}"
        for name, path in MODULES.items()
        for other in imported(path)
        if level[other] < level[name]
    ]
    assert not upwards
