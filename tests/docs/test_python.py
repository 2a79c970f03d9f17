"""Python in the documentation runs, and every name of deepmat in it exists."""

import importlib
import importlib.util
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from doc_pages import DOCS, PAGES, ROOT, blocks, prose, text_of
from toy import Toy

import deepmat
from deepmat import config, errors, imaging
from deepmat.models import build_model
from deepmat.models.checkpoint import save_weights
from deepmat.models.exporting import to_onnx
from deepmat.subject.finders import Found
from deepmat.subject.finders.choice import FINDERS

PYTHON = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]
TINY_TRAINING = [
    "model.width=0.0625",
    "data.augment.crop.sizes=[32]",
    "data.augment.resize.size=[32,32]",
    "data.cache=null",
    "train.pretrain=null",
    "train.iterations=1",
    "train.workers=0",
]
SMALLER = {
    "synthesise": {"train": 1, "test": 1, "backgrounds": 1, "size": 64},
    "composite": {"per_foreground": 1},
    "train": {"settings": TINY_TRAINING},
    "cut": {"finder": "fake"},
}
"""Arguments that replace those of the documentation, so that its jobs take a moment."""
STUBBED = ("convert_vgg",)
"""Functions that are not called, only their arguments checked."""


@pytest.fixture
def one_thread():
    """Networks compute on one thread: on pictures this small, threads wait longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of the files that the snippets name, with small pictures and tiny weights."""
    folder = tmp_path_factory.mktemp("docs")
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    trimap = np.zeros((48, 64), np.uint8)
    trimap[8:40, 12:52], trimap[16:32, 24:40] = 128, 255
    for name in ("photo.jpg", "photos/a.png", "data/test/image/a.png"):
        imaging.write_image(folder / name, image)
    for name in ("trimap.png", "trimaps/a.png", "data/test/trimap/a.png"):
        imaging.write_image(folder / name, trimap)
    imaging.write_image(folder / "data/test/alpha/a.png", np.where(trimap == 128, 100, trimap).astype(np.uint8))
    options = config.DIMConfig(width=1 / 16)
    save_weights(folder / "runs/stage3/best.safetensors", build_model(options).state_dict(), options)
    return folder


def small(name, function):
    """A public function of deepmat with the arguments of SMALLER; a stub that checks its arguments if STUBBED."""

    def call(*args, **kwargs):
        bound = inspect.signature(function).bind(*args, **(kwargs | SMALLER.get(name, {})))
        return None if name in STUBBED else function(*bound.args, **bound.kwargs)

    return call


@pytest.mark.parametrize("page", PYTHON, ids=lambda page: page.name)
def test_snippets_run(page, files, tmp_path, monkeypatch, one_thread):
    """The snippets of a page, in order, as one script."""
    for path in files.rglob("*.*"):
        copy = tmp_path / path.relative_to(files)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    if page.name == "export.md":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(package)
        model = build_model(config.DIMConfig(width=1 / 16))
        Path(tmp_path / "lite.onnx").write_bytes(to_onnx(model, {}))
        assert not re.search(
            "deepmat|torch", "".join(block.text for block in blocks(page) if block.language == "python")
        )
    if page.name == "python.md":  # it makes its own
        (tmp_path / "data").rename(tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(FINDERS, "fake", lambda image, prompts: Found(imaging.read_grey("trimap.png"), 1.0, 64, []))
    for name in (*SMALLER, *STUBBED):
        monkeypatch.setattr(deepmat, name, small(name, getattr(deepmat, name)), raising=False)
    names = {"__name__": f"snippets of {page.name}"}
    for block in blocks(page):
        if block.language == "python":
            exec(compile(block.text, f"{page.name}", "exec"), names)
    if page.name in ("README.md", "python.md"):
        assert names["alpha"].dtype == np.float32 and names["alpha"].shape == (48, 64)
        assert Path("out/alpha/a.png").is_file() and Path("out/cutout/a.png").is_file()
        assert names["summary"]
    if page.name == "export.md":
        expected = deepmat.predict(model, "photo.jpg", "trimap.png")
        np.testing.assert_allclose(names["alpha"], expected, atol=1e-4)
        assert imaging.read_image("cutout.png").shape == (48, 64, 3)
    if page.name == "contributing.md":  # the network that the contract test takes through everything
        assert vars(names["Toy"]).keys() == vars(Toy).keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_of_deepmat_exist(page):
    text = prose(page)
    if page.name == "CHANGELOG.md":  # the first column of its table is what was
        text = re.sub(r"^\|[^|]*", "", text, flags=re.MULTILINE)
    for code in re.findall(r"`([^`\n]+)`", text):
        for dotted in re.findall(r"\bdeepmat(?:\.\w+)+", code):
            assert exists(dotted), f"{page.name}: {dotted}"
    for path in re.findall(r"`((?:deepmat|configs|tests|benchmarks|docs)/[\w./-]*)", text):
        assert (ROOT / path).exists() or "{" in path, f"{page.name}: {path}"
    for module in re.findall(r"python -m (benchmarks\.\w+)", text_of(page)):
        assert importlib.util.find_spec(module), module


def exists(dotted):
    """Whether a dotted name is a module or an attribute of one."""
    module, _, attribute = dotted.rpartition(".")
    try:
        found = importlib.import_module(module)
    except ImportError:
        return exists(module) and hasattr(resolve(module), attribute)
    return hasattr(found, attribute) or importlib.util.find_spec(dotted) is not None


def resolve(dotted):
    """The object of a dotted name."""
    module, _, attribute = dotted.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def test_the_reference_lists_every_public_name():
    listed = re.findall(r"^::: deepmat\.(\w+)$", text_of(DOCS / "api.md"), re.MULTILINE)
    listed += [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)]
    assert sorted({*deepmat.__all__} - {"__version__"}) == sorted({*listed} - {"errors"})


def test_each_command_has_its_function_in_the_guide():
    from deepmat.cli import COMMANDS

    rows = [line for line in text_of(DOCS / "python.md").splitlines() if line.startswith("| `deepmat ")]
    named = [re.match(r"\| `deepmat (\S+?)[ `]", row)[1] for row in rows]
    assert set(named) == set(COMMANDS)
    for row in rows:
        for name in re.findall(r"`deepmat\.(\w+)`", row):
            assert inspect.getdoc(getattr(deepmat, name))
