import hashlib
import os
import re
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from onnx_files import mean_of_colours

from deepmat.errors import ConfigError, DataError
from deepmat.runtime.fetching import CACHE, OFFLINE, Remote
from deepmat.subject.finders import known
from deepmat.subject.finders.choice import find
from deepmat.subject.finders.settings import Settings, check_settings

pytest.importorskip("onnxruntime")

PLACES = {name: getattr(known, name) for name in ("place_of", "_of_rembg")}
"""Where files are looked for; other tests have none (conftest)."""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A network of the table, "toy", whose file lies in no cache yet; returns the file's path."""
    for name in ("U2NET_HOME", "REMBG_HOME", "XDG_DATA_HOME", OFFLINE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    for name, function in PLACES.items():
        monkeypatch.setattr(known, name, function)
    monkeypatch.setattr(os.path, "expanduser", lambda path: str(path).replace("~", str(tmp_path / "home")))
    path = mean_of_colours(tmp_path / "toy.onnx")
    data = path.read_bytes()
    remote = Remote("http://127.0.0.1:1/toy.onnx", hashlib.sha256(data).hexdigest(), len(data))
    raw = Settings(mean=(0, 0, 0), std=(1, 1, 1))
    monkeypatch.setitem(known.NETWORKS, "toy", known.Known(remote, "MIT", "nothing", "what is bright", raw))

    def no_network(*arguments, **named):
        raise AssertionError("a request")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    return path


@pytest.mark.parametrize("name", known.NETWORKS)
def test_every_network_can_be_fetched_and_checked(name):
    network = known.NETWORKS[name]
    assert network.remote.address.startswith(known.RELEASE) and network.remote.address.endswith(".onnx")
    assert re.fullmatch("[0-9a-f]{64}", network.remote.sha256) and network.remote.size > 4_000_000
    assert check_settings(network.settings).side in (320, 1024)
    assert network.licence in ("Apache-2.0", "MIT") and network.trained_on and network.finds


def test_a_file_put_into_the_cache_by_hand_is_used(toy):
    with pytest.raises(DataError) as error:
        known.obtain("toy", offline=True)
    place = Path(str(error.value).partition(":")[0])
    assert place == known.place_of("toy")
    place.parent.mkdir(parents=True)
    place.write_bytes(toy.read_bytes())
    photo = np.zeros((20, 20, 3), np.uint8)
    photo[5:15, 5:15] = 255
    assert find(photo, finder="toy").found.mask[10, 10] > 240


@pytest.mark.parametrize(
    ("variable", "place"),
    [
        (None, "home/.u2net/toy.onnx"),
        (None, "home/.rembg/models/toy/toy.onnx"),
        ("U2NET_HOME", "toy.onnx"),
        ("REMBG_HOME", "models/toy/toy.onnx"),
        ("XDG_DATA_HOME", ".u2net/toy.onnx"),
    ],
)
def test_files_of_rembg_are_used_where_their_sum_is_right(toy, tmp_path, monkeypatch, variable, place):
    folder = tmp_path / "rembg" if variable else tmp_path
    if variable:
        monkeypatch.setenv(variable, str(folder))
    path = folder / place
    path.parent.mkdir(parents=True)
    path.write_bytes(toy.read_bytes()[::-1])
    assert known.locate("toy") is None
    path.write_bytes(toy.read_bytes())
    os.utime(path, ns=(1, 1))
    assert known.locate("toy") == path == known.obtain("toy", offline=True)
    assert known.describe("toy")["path"] == str(path)


def test_an_unknown_name_is_refused():
    with pytest.raises(ConfigError, match="finder 'u2nett': unknown, did you mean u2net"):
        known.obtain("u2nett")
    with pytest.raises(ConfigError, match="did you mean isnet-general-use"):  # u2net has more letters in common
        known.obtain("isnet")


def test_the_documentation_lists_the_networks():
    page = (Path(__file__).parents[3] / "docs" / "finders.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `")
    ]
    shown = {cells[0].strip("`"): cells[1:] for cells in rows if len(cells) == 6}
    keys = ("megabytes", "side", "licence", "trained_on", "finds")
    assert shown == {name: [str(known.describe(name)[key]) for key in keys] for name in known.NETWORKS}
