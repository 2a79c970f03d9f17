"""Names for help texts, read from the source of the tables: to import the tables would import torch."""

import ast
from functools import cache
from pathlib import Path

import deepmat

PACKAGE = Path(deepmat.__file__).parent


@cache
def names(module: str, table: str) -> tuple[str, ...]:
    """Return the keys of a dict, or the items of a tuple, that a module of deepmat defines as a literal.

    names("inference.modes", "MODES") is ("auto", "whole", ...).
    """
    path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id == table:
                items = node.value.keys if isinstance(node.value, ast.Dict) else getattr(node.value, "elts", [])
                return tuple(ast.literal_eval(item) for item in items if item)
    raise KeyError(f"deepmat.{module} has no table {table}")


def choice(module: str, table: str, *more: str) -> str:
    """Return the names of a table as the metavar of an option: "auto|whole|tile". more: names to put first."""
    return "|".join((*more, *names(module, table)))


def recipes(kind: str) -> str:
    """Return the names of the files configs/KIND/*.yaml that deepmat ships as a metavar."""
    packaged = PACKAGE / "configs"
    folder = packaged if packaged.is_dir() else PACKAGE.parent / "configs"
    return "|".join(sorted(path.stem for path in (folder / kind).glob("*.yaml")))
