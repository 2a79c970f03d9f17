"""The shape of the package: which way imports go, what is light, what is documented."""

import ast
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deepmat.cli import COMMANDS, app
from deepmat.config import MODEL_CONFIGS, Config

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "deepmat"
# A module imports from its own room and from rooms in rows above, and in its own row from those to its left.
DIRECTION = [
    ["errors", "config", "runtime", "imaging"],
    ["synth", "data", "subject", "checks", "scoring", "report"],
    ["models", "inference", "training", "serve"],  # from here on with torch
    ["cli", "__main__"],
]
BEHIND_COMMANDS = ["evaluation.py", "sweeping.py"]
"""Modules that do the whole job of a command and write reports."""
RANK = {name: rank for rank, name in enumerate(name for row in DIRECTION for name in row)}


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def own(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "deepmat":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("deepmat."))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    for name in imported(path):
        if name != own(path) and name != "__version__":
            assert RANK[name] < RANK[own(path)], f"{own(path)} imports {name}"
    if own(path) not in ("cli", "report") and path.name not in BEHIND_COMMANDS:
        # The records of a run are typed there: they go from training to the displays.
        assert not re.search(r"deepmat\.report(?!\.records)\b", path.read_text())


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_functions_and_modules_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            assert node.end_lineno - body[0].lineno < 60, node.name


def words(node):
    """Names, attributes and string keys in a piece of code."""
    for each in ast.walk(node):
        yield from (value for key in ("id", "attr", "value") if isinstance(value := getattr(each, key, None), str))


def special_cases(source, classes):
    """Code that singles out a network: by its class, or by comparing its arch."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
            found = classes & {*words(node.args[1])}
        elif isinstance(node, ast.Compare):
            found = {"arch", *classes} & {*words(node)}
        else:
            found = isinstance(node, ast.Match) and "arch" in words(node.subject)
        if found:
            yield ast.unparse(node)


def test_only_models_knows_one_network_from_another():
    from deepmat.models import FAST, MODELS

    forms = [form.func if isinstance(form, partial) else form for form in FAST.values()]
    classes = {each.__name__ for each in (*MODELS.values(), *forms, *MODEL_CONFIGS.values())}
    for bad in (
        "isinstance(model, Lite)",
        "isinstance(model, (DIM, lite.Lite))",
        "type(model) is DIM",
        "config.arch == 'dim'",
        "options['arch'] != 'lite'",
        "match model.arch:\n    case 'dim': pass",
    ):
        assert list(special_cases(bad, classes)), bad
    for path in modules():
        if own(path) not in ("models", "config"):
            assert not list(special_cases(path.read_text(), classes)), path


def test_only_imaging_decodes_and_encodes_pictures():
    for path in modules():
        if own(path) != "imaging":
            text = path.read_text()
            assert not [name for name in ("imread", "imdecode", "imwrite", "imencode", "Image.open") if name in text], (
                path
            )


def test_help_is_light():
    heavy = ("torch", "cv2", "numpy", "PIL", "rich", "pydantic", "deepmat.cli.options")
    script = f"""
import atexit, sys
from deepmat.cli import main
atexit.register(lambda: print([name for name in {heavy} if name in sys.modules]))
sys.argv[1:] = ["--help"]
main()
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert "predict" in result.stdout and result.stdout.endswith("[]\n")
    names = [
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for path in modules()
        if own(path) in {name for row in DIRECTION[:2] for name in row} and "kernels" not in path.name
    ]
    light = f"import sys, {', '.join(f'deepmat.{name}' for name in names)}; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", light], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_a_section_in_the_docs(name):
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    listed = CliRunner().invoke(app, ["--help"]).output
    assert f"  {name} " in listed and "..." not in result.output.partition("Commands:")[2]  # nothing is cut short
    assert COMMANDS[name].help in listed
    assert result.output.splitlines()[2].strip() == COMMANDS[name].help
    assert f"deepmat {name}" in (ROOT / "docs/cli.md").read_text()


def read_names(path):
    """The names of attributes that a module reads, but for those of other modules."""
    tree = ast.parse(path.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    others = {(alias.asname or alias.name).split(".")[0] for node in imports for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if not (isinstance(root, ast.Name) and root.id in others):
                yield node.attr


def test_every_config_key_is_used():
    """A key that nothing reads is a promise that nothing keeps. np.clip reads no key."""
    read = set().union(*(read_names(path) for path in modules() if own(path) != "config"))

    def keys(section):
        for name, field in section.model_fields.items():
            if name == "augment":
                continue  # tests/data/test_augment.py holds its options against the functions
            if hasattr(field.annotation, "model_fields"):
                yield from keys(field.annotation)
            else:
                yield name

    by_name = {"image", "trimap", "alpha", "fg", "bg", "jpeg", "noise"}  # read through getattr, kind by kind
    by_signature = {"max_size", "fit", "size", "tile", "overlap", "correct", "conv6", "skip", "refine", "arch"}
    assert not set(keys(Config)) - by_name - by_signature - read


def test_no_file_names_a_machine():
    for path in [*PACKAGE.rglob("*.py"), *ROOT.glob("*.*"), *ROOT.glob("configs/*")]:
        if path.is_file():
            assert str(ROOT) not in path.read_text(), path


def test_recipes_hold_differences_only():
    for path in (ROOT / "configs").glob("*.yaml"):
        for section, values in yaml.safe_load(path.read_text()).items():
            defaults = getattr(Config(), section)
            for key, value in values.items() if section != "loss" else ():
                assert getattr(defaults, key, None) != value, f"{path.name}: {section}.{key} is the default"
