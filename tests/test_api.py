"""The public names: complete, light to import, typed, not shadowed."""

import ast
import importlib
import inspect
import os
import subprocess
import sys
import typing
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import user_script
from torch import nn

import deepmat

PACKAGE = Path(deepmat.__file__).parent
FUNCTIONS = [name for name in deepmat.__all__ if inspect.isfunction(getattr(deepmat, name))]
MORE = {
    "write_image": {"pixels": np.zeros((2, 2), np.uint8)},
    "cut_photos": {"inputs": "none.png"},
    "push": {"model": "a/b"},
}
"""Arguments that a function needs beside its paths."""


class Given:
    """A path of another type than str and Path."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


def paths_of(name):
    """The arguments of a public function that are paths.

    Those that may be a file's bytes are of imaging's tests, those that may be a network of tests of `cut`.
    """
    hints = typing.get_type_hints(getattr(deepmat, name))
    unions = {key: typing.get_args(hint) for key, hint in hints.items() if key != "return"}
    return [
        key
        for key, union in unions.items()
        if os.PathLike[str] in union and bytes not in union and nn.Module not in union
    ]


def test_no_public_function_takes_paths_of_one_type_alone():
    """Which the tests below, of arguments that take any type, would not see."""
    for name in FUNCTIONS:
        for key, hint in typing.get_type_hints(getattr(deepmat, name)).items():
            union = typing.get_args(hint)
            assert key == "return" or not (Path in union and str in union), f"{name}: {key}"


@pytest.mark.parametrize("wrong", [5, [5], None])
def test_cut_photos_names_what_is_no_picture(wrong, tmp_path):
    with pytest.raises(deepmat.DataError, match="inputs: (5|None) is no path"):
        deepmat.cut_photos(wrong, tmp_path)


PATHS = {name: paths for name in FUNCTIONS if (paths := paths_of(name))}


def outcome(name, arguments):
    """What a call comes to: its error, or what it returns, of jobs their length."""
    try:
        result = getattr(deepmat, name)(**arguments, **MORE.get(name, {}))
    except deepmat.DeepmatError as error:
        return str(error)
    return str(getattr(result, "total", result))


def test_most_public_functions_take_paths():
    assert len(PATHS) >= 15 and "masks" in PATHS["make_trimaps"] and "weights" in PATHS["evaluate"]


@pytest.mark.parametrize("name", PATHS)
def test_paths_of_any_type_mean_the_same(name, tmp_path):
    plain = outcome(name, {key: str(tmp_path / "none") for key in PATHS[name]})
    for kind in (Path, Given):
        assert outcome(name, {key: kind(str(tmp_path / "none")) for key in PATHS[name]}) == plain


@pytest.mark.parametrize("name", PATHS)
def test_what_is_no_path_is_refused_by_the_name_of_its_argument(name, tmp_path):
    for wrong in (5, Given(b"none")):
        for argument in PATHS[name]:
            given = {key: str(tmp_path / "none") for key in PATHS[name] if key == argument or _needed(name, key)}
            assert outcome(name, given | {argument: wrong}).startswith(f"{argument}: {wrong!r} is no path"), argument


def _needed(name, key):
    return inspect.signature(getattr(deepmat, name)).parameters[key].default is inspect.Parameter.empty


def texts_of(name):
    """The arguments of a public function that are lists of texts."""
    hints = typing.get_type_hints(getattr(deepmat, name))
    lists = Sequence[str], Iterable[str]
    return [key for key, hint in hints.items() if any(each in lists for each in (hint, *typing.get_args(hint)))]


TEXTS = [(name, key) for name in FUNCTIONS for key in texts_of(name)]


@pytest.mark.parametrize(("name", "argument"), TEXTS)
def test_one_text_stands_for_a_list_of_one(name, argument, tmp_path):
    needed = {key: tmp_path / "none" for key in PATHS.get(name, ()) if _needed(name, key)}
    needed |= {"stage": 0} if name == "train" else {}
    assert outcome(name, needed | {argument: "abc"}) == outcome(name, needed | {argument: ["abc"]})
    for wrong in (5, b"abc", [5]):
        assert outcome(name, needed | {argument: wrong}).startswith(f"{argument}: {wrong!r} is no text"), wrong


def test_one_pattern_stands_for_a_list_of_one(tmp_path):
    for name in ("a.png", "b.png", "b.jpg"):
        deepmat.write_image(tmp_path / "photos" / name, np.zeros((2, 2), np.uint8))
    for call in (partial(deepmat.cut_out, masks=tmp_path / "photos"), deepmat.cut_photos):
        job = call(tmp_path / "photos", tmp_path / "out", include="*.png", exclude="b*", weights="closed-form")
        assert job.total == 1


def test_margins_and_widths_may_be_numbers(tmp_path):
    """0 is a width, not its absence."""
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:40] = 255
    deepmat.write_image(tmp_path / "m.png", mask)
    for each in (0, 3):
        for side in ("width", "inwards"):
            for out, value in (("number", each), ("text", str(each))):
                assert (
                    not deepmat.make_trimaps(tmp_path / "m.png", tmp_path / out, **{side: value}).run()[0].get("error")
                )
            number, text = (deepmat.read_trimap(tmp_path / out / "m.png")[0] for out in ("number", "text"))
            np.testing.assert_array_equal(number, text)
            assert (number == 128).any() == (side == "inwards" or each > 0)
        given = {"masks": tmp_path / "m.png", "weights": "closed-form", "save": "alpha"}
        job = deepmat.cut_out(tmp_path / "m.png", tmp_path / "out", width=each, crop=each, **given)
        assert "error" not in job.run()[0]
        assert deepmat.read_image(tmp_path / "out" / "alpha" / "m.png").shape == (20 + 2 * each, 20 + 2 * each, 3)


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
