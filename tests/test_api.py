"""The public names: complete, light to import, typed, not shadowed."""

import ast
import importlib
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import user_script

import deepmat

PACKAGE = Path(deepmat.__file__).parent
FUNCTIONS = [name for name in deepmat.__all__ if inspect.isfunction(getattr(deepmat, name))]


def test_a_users_program_runs(weights, data, tmp_path, capsys):
    user_script.main(weights, data / "test", tmp_path)
    printed = capsys.readouterr().out
    assert "none.png: no such file" in printed and "none.pth: no such file" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "all",
        "alpha.png",
        "cutout.png",
        "foreground.png",
        "trimaps",
    ]


@pytest.mark.slow
def test_a_users_program_passes_mypy_strict(tmp_path):
    """As beside an installed deepmat: its py.typed counts."""
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path, user_script.__file__]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout


def test_importing_deepmat_loads_nothing_heavy():
    script = "import sys, deepmat; print({name.split('.')[0] for name in sys.modules})"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    heavy = {"torch", "numpy", "cv2", "PIL", "pydantic", "yaml", "typer", "rich", "accelerate"}
    assert not heavy & set(ast.literal_eval(result.stdout)) and "deepmat" in result.stdout


def test_the_stub_lists_every_public_name_once():
    """deepmat/__init__.pyi is what type checkers read and what lazy_loader imports from."""
    assert (PACKAGE / "py.typed").is_file()
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text())
    imported = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    listed = next(ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign))
    assert listed == sorted(listed) == sorted([*imported, "__version__"])
    assert sorted(deepmat.__all__) == sorted(imported) and set(dir(deepmat)) >= set(imported)
    for name in imported:
        assert getattr(deepmat, name).__name__ == name, name
    with pytest.raises(AttributeError, match="No deepmat attribute nothing"):
        deepmat.nothing  # noqa: B018


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_is_documented_and_typed(name):
    function = getattr(deepmat, name)
    hints = typing.get_type_hints(function)
    assert "return" in hints and set(inspect.signature(function).parameters) <= set(hints)
    assert len(inspect.getdoc(function).splitlines()[0]) > 20


@pytest.mark.parametrize("package", [PACKAGE, *(path.parent for path in PACKAGE.glob("**/__init__.py"))], ids=str)
def test_no_public_name_is_shadowed_by_a_module(package):
    """Importing a submodule sets it as an attribute of its package, in place of a function of that name."""
    name = ".".join(("deepmat", *package.relative_to(PACKAGE).parts))
    modules = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert not modules & set(getattr(importlib.import_module(name), "__all__", ()))
