import errno
import json
import os
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from typer.testing import CliRunner

from deepmat.cli import app
from deepmat.config import DIMConfig
from deepmat.data.compositing import build_composites, plan_adobe
from deepmat.errors import DeepmatError
from deepmat.models import build_model
from deepmat.models.checkpoint import save_weights
from deepmat.models.session import Windows
from deepmat.runtime import fetching
from deepmat.synth.dataset import synthesise

GOLDEN = Path(__file__).parent / "golden"

# A busy machine takes long over an example, which says nothing about the property.
settings.register_profile("deepmat", deadline=None)
settings.load_profile("deepmat")


@pytest.fixture
def golden():
    """golden("metrics") -> the arrays of golden/metrics.npz."""
    return lambda name: np.load(GOLDEN / f"{name}.npz")


@pytest.fixture(autouse=True)
def no_networks(monkeypatch):
    """Nothing is fetched, and the networks that this machine has are not used."""
    monkeypatch.setenv(fetching.OFFLINE, "1")
    monkeypatch.setattr("deepmat.subject.finders.known.place_of", lambda name: Path(f"no-cache/{name}.onnx"))
    monkeypatch.setattr("deepmat.subject.finders.known._of_rembg", lambda name: [])


@cache
def _draw(key, shape):
    return np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)


def rule_state(model, skip):
    """The weights that the golden outputs were made with: a normal draw per key (tests/golden/README.md)."""
    state = {}
    for key, value in model.state_dict().items():
        draw = _draw(key, tuple(value.shape))
        if key.endswith(".weight"):
            draw = draw * np.sqrt(2 / np.prod(value.shape[1:]))
            if key == "deconv1.weight" and not skip:
                draw = draw * 10
        else:
            draw = draw * 0.01
        state[key] = torch.from_numpy(draw.astype(np.float32))
    return state


class TinyModel(torch.nn.Module):
    """A network of DIM's interface that trains in milliseconds."""

    PARTS = {"encoder": ("conv",), "decoder": ("head",)}
    stride, reach, bytes_a_pixel, enlarge_up_to, shrink_from = 32, 32, 1000, 0, 0
    first_look, correction = None, None

    def __init__(self, dropout=0.1):
        super().__init__()
        self.dropout = dropout
        self.conv = torch.nn.Conv2d(4, 4, 3, padding=1)
        self.head = torch.nn.Conv2d(4, 1, 1)

    @property
    def device(self):
        return self.head.weight.device

    def begin(self, image, trimap):
        return Windows(self, image, trimap)

    def forward(self, image, trimap):
        x = torch.relu(self.conv(torch.cat((image, trimap), dim=1) / 255))
        x = torch.nn.functional.dropout(x, self.dropout, self.training)
        return {"alpha": torch.sigmoid(self.head(x))}


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """A small procedural data set in Adobe's layout."""
    folder = tmp_path_factory.mktemp("source")
    list(synthesise(folder, train=4, test=2, backgrounds=3, size=96, seed=1, per_foreground=(3, 2)))
    return folder


@pytest.fixture(scope="session")
def data(source, tmp_path_factory):
    """It composited in full: 4 training and 2 test pictures. Tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("data")
    for split, count in (("train", 1), ("test", 1)):
        plan = plan_adobe(source, split, source / f"bg_{split}", count)
        assert not [record for record in build_composites(plan, folder, layout="full") if "error" in record]
    return folder


@pytest.fixture
def deepmat(tmp_path, monkeypatch):
    """Run the command line in an empty folder: deepmat("eval", ...) -> result with exit_code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest-xdist sets it in its workers

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def close(monkeypatch):
    """close(folder): from now on that folder can neither be listed nor entered, not even by root."""
    closed = set()
    scandir, stat = os.scandir, os.stat

    def check(path, *inside):
        if not isinstance(path, int) and closed.intersection(map(os.path.abspath, (path, *inside))):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))

    def checked_scandir(path="."):
        check(path)
        return scandir(path)

    def checked_stat(path, **options):
        if not isinstance(path, int) and os.path.abspath(path) not in closed:
            check(path, *Path(os.path.abspath(os.fsdecode(path))).parents)
        return stat(path, **options)

    monkeypatch.setattr(os, "scandir", checked_scandir)
    monkeypatch.setattr(os, "stat", checked_stat)
    return lambda folder: closed.add(os.path.abspath(folder))


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    torch.manual_seed(0)
    tiny = DIMConfig(width=1 / 16)
    save_weights(path, build_model(tiny).state_dict(), tiny.model_dump())
    return path


@pytest.fixture
def catch(monkeypatch):
    """catch("training", "evaluate"): that function keeps its arguments in the dict returned, and ends the command."""

    def replace(module, name):
        kept = {}

        def caught(*arguments, **named):
            kept.update(named, arguments=arguments)
            raise DeepmatError("caught")

        monkeypatch.setattr(f"deepmat.{module}.{name}", caught)
        return kept

    return replace


@pytest.fixture
def read_log():
    return lambda folder: [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
