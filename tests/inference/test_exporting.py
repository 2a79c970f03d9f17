"""`deepmat export`, and what takes the files that it writes."""

import json

import numpy as np
import pytest
from onnx_files import mean_of_colours

import deepmat as api
from deepmat import imaging
from deepmat.config import DIMConfig
from deepmat.errors import CheckpointError, ConfigError
from deepmat.inference import exporting
from deepmat.inference.exporting import picture
from deepmat.models import build_model
from deepmat.models.checkpoint import save_weights
from deepmat.models.weights import sha256

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A tiny DIM, compared at two small sizes."""
    monkeypatch.setattr(exporting, "SIZES", ((5, 9), (40, 33)))
    model = build_model(DIMConfig(width=1 / 16))
    save_weights(tmp_path / "w.safetensors", model.state_dict(), model.config.model_dump(), licence="CC0")
    return tmp_path / "w.safetensors"


def test_the_command_compares_and_writes(weights, deepmat, tmp_path):
    done = deepmat("export", "-w", weights, "-o", "made/dim.onnx", "--json")
    assert done.exit_code == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["name"] for record in records] == ["9x5", "33x40"]
    assert all(record["largest"] < 1e-4 for record in records)
    said = onnxruntime.InferenceSession(tmp_path / "made/dim.onnx").get_modelmeta().custom_metadata_map
    assert said["licence"] == "CC0" and said["source_sha256"] == sha256(weights)
    assert said["source"] == "w.safetensors"  # no folder of this machine
    assert said["deepmat"] == api.__version__ and said["network"].startswith("dim (") and said["opset"] == "18"


def test_a_file_that_differs_is_not_written(weights, deepmat, tmp_path, monkeypatch):
    for kind in ("largest", "mean"):
        monkeypatch.setitem(exporting.LIMITS, "fp32", exporting.Limit(1.0, 1.0)._replace(**{kind: -1.0}))
        done = deepmat("export", "-w", weights, "-o", "dim.onnx")
        assert done.exit_code == 1 and "not written: its alpha differs" in done.stderr
        assert f"({kind} difference) at 9x5, more than -1; update onnx," in done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_maxima_that_rounding_moves_are_no_fault(weights, tmp_path, monkeypatch):
    """DIM puts features back where the maximum of four was: which one that is may be a matter of rounding."""
    differences = np.zeros((10, 20))
    differences[3, :2] = 0.2
    assert exporting.but_for(differences, 0.01) == 0 and exporting.but_for(differences, 0) == 0.2
    differences[4, 0] = 0.1
    assert exporting.but_for(differences, 0.01) == 0.1
    compared = {"name": "9x5", "largest": 0.2, "ordinary": 1e-5, "mean": 1e-5, "notices": []}
    monkeypatch.setattr(exporting, "compare", lambda *_: compared)
    api.export(weights, tmp_path / "dim.onnx").run()
    compared["ordinary"] = 2e-3
    with pytest.raises(CheckpointError, match=r"by 0.002 \(largest difference\) at 9x5, more than 0.001"):
        api.export(weights, tmp_path / "again.onnx").run()


def test_smaller_files(weights, deepmat, tmp_path, monkeypatch):
    sizes = {}
    for precision in ("fp32", "fp16", "int8"):
        done = deepmat("export", "-w", weights, "-o", f"{precision}.onnx", "--precision", precision)
        assert done.exit_code == 0, done.stderr
        sizes[precision] = (tmp_path / f"{precision}.onnx").stat().st_size
    weights_alone = sum(value.numel() for value in api.load_model(weights).parameters())
    assert sizes["fp32"] - sizes["fp16"] > 1.8 * weights_alone and sizes["fp16"] - sizes["int8"] > 0.8 * weights_alone
    assert "in int8, a scale for each output channel" in deepmat("info", "int8.onnx").stdout
    monkeypatch.setitem(exporting.LIMITS, "int8", exporting.Limit(1e-9, 1.0))
    done = deepmat("export", "-w", weights, "-o", "again.onnx", "--precision", "int8")
    assert done.exit_code == 1 and "more than 1e-09; use fp32" in done.stderr and not (tmp_path / "again.onnx").exists()
    done = deepmat("export", "-w", weights, "-o", "again.onnx", "--precision", "fp8")
    assert done.exit_code == 1 and "precision 'fp8': " in done.stderr


def test_a_size_that_does_not_fit_is_left_out(weights, monkeypatch):
    monkeypatch.setattr(exporting, "pixels_that_fit", lambda *_: 0)
    records = api.export(weights, weights.with_name("dim.onnx")).run()
    assert records[0]["notices"] == ["9x5 not compared: it takes 0.0 GB"]


def test_commands_and_python_take_the_file(weights, deepmat, tmp_path):
    api.export(weights, tmp_path / "dim.onnx").run()
    image, trimap = picture(61, 83, seed=1)
    imaging.write_image(tmp_path / "set/image/a.png", image)
    imaging.write_image(tmp_path / "set/trimap/a.png", trimap)
    imaging.write_image(tmp_path / "set/alpha/a.png", trimap)
    expected = api.predict(api.load_model(weights), image, trimap)
    for mode, options in {"auto": {}, "whole": {}, "tile": {"tile": 64, "overlap": 32}}.items():
        alpha = api.predict(api.load_model(tmp_path / "dim.onnx"), image, trimap, mode=mode, **options)
        theirs = api.predict(api.load_model(weights), image, trimap, mode=mode, **options)
        np.testing.assert_allclose(alpha, theirs, atol=1e-4)
    done = deepmat("predict", "set/image", "-t", "set/trimap", "-o", "out", "-w", "dim.onnx", "--save", "alpha")
    assert done.exit_code == 0 and "as an ONNX graph on cpu" in done.stderr
    written = imaging.read_grey(tmp_path / "out/alpha/a.png")
    assert np.abs(written - expected * 255).max() <= 0.6
    scored = deepmat("eval", "--data", "set", "-w", "dim.onnx", "--json")
    assert scored.exit_code == 0, scored.stderr
    cut = deepmat("cut", "set/image", "--masks", "set/alpha", "-o", "cut", "-w", "dim.onnx")
    assert cut.exit_code == 0, cut.stderr
    shown = deepmat("info", "dim.onnx")
    assert shown.exit_code == 0 and "ONNX graph of deepmat" in shown.stdout and "dim (conv6 " in shown.stdout
    assert sha256(weights) in shown.stdout and "uint8 [height, width] of 0 background" in shown.stdout


def test_other_files_are_refused_in_one_line(weights, deepmat, tmp_path):
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"no graph")
    with pytest.raises(CheckpointError, match=r"garbage.onnx: onnxruntime cannot load it .*`deepmat export`$"):
        api.load_model(garbage)
    with pytest.raises(CheckpointError, match=r"an ONNX file of another kind; .*--finder FILE"):
        api.load_model(mean_of_colours(tmp_path / "map.onnx"))
    with pytest.raises(CheckpointError, match=r"none.onnx: no such file"):
        api.load_model(tmp_path / "none.onnx")
    with pytest.raises(CheckpointError, match=r"garbage.onnx: an ONNX graph, no weights; name the weights"):
        api.export(garbage, tmp_path / "again.onnx")
    with pytest.raises(ConfigError, match=r"ends in .onnx$"):
        api.export(weights, tmp_path / "dim.bin")
    done = deepmat("export", "-w", "closed-form", "-o", "c.onnx")
    assert done.exit_code == 1 and "cannot be exported; dim and lite can" in done.stderr
