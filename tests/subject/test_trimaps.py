import json
from pathlib import Path

import numpy as np
import pytest

from deepmat import imaging
from deepmat.errors import ConfigError
from deepmat.subject.trimaps import make_trimaps


@pytest.fixture
def masks(tmp_path, monkeypatch):
    """A folder of two masks and a broken one, with pictures of two sizes."""
    monkeypatch.chdir(tmp_path)
    disc = np.zeros((40, 50), np.uint8)
    disc[10:30, 15:35] = 255
    for name in ("a", "deep/b"):
        imaging.write_image(Path(f"masks/{name}.png"), disc)
    Path("masks/broken.png").write_text("no picture")
    imaging.write_image(Path("photos/a.jpg"), np.full((40, 50, 3), 200, np.uint8))
    imaging.write_image(Path("photos/b.jpg"), np.full((20, 50, 3), 200, np.uint8))
    return "masks"


def test_the_function_does_what_the_command_does(deepmat, masks):
    """Same files to the byte, same records, same notices."""
    options = {"width": "3", "outwards": "10%", "method": "morphology", "threshold": 100, "images": "photos"}
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    done = deepmat("trimap", masks, "-o", "out", *flags, "--preview", "out.png", "--json")
    assert done.exit_code == 1 and "2 of 3 trimaps in out; see out.png\n1 failed:" in done.stderr
    work = make_trimaps(masks, "again", **options, preview="again.png")
    assert work.total == 3 and not Path("again").exists() and not Path("again.png").exists()
    records = work.run()
    for record in records:
        if "path" in record:
            record["path"] = record["path"].replace("again", "out")
    assert [json.loads(line) for line in done.stdout.splitlines()] == records
    written = list(Path("out").rglob("*.*"))
    assert len(written) == 2
    for path in (Path("out.png"), *written):
        assert Path(str(path).replace("out", "again")).read_bytes() == path.read_bytes()
    assert len(work.preview_notices) == 1 and f"note: {work.preview_notices[0]}" in done.stderr


def test_existing_trimaps_are_kept(masks):
    make_trimaps(masks, "out", width="3").run()
    Path("out/a.png").unlink()
    before = Path("out/deep/b.png").stat().st_mtime_ns
    work = make_trimaps(masks, "out", width="5", skip_existing=True)
    assert (work.total, work.existing) == (2, 1)
    assert [record["name"] for record in work] == ["a", "broken"]
    assert Path("out/deep/b.png").stat().st_mtime_ns == before


def test_records_keep_the_order_and_a_stop_ends_the_rest(masks, monkeypatch):
    for index in range(60):
        imaging.write_image(Path(f"many/{index:02}.png"), np.full((8, 8), 255, np.uint8))
    names = [f"{index:02}" for index in range(60)]
    assert [record["name"] for record in make_trimaps("many", "out", workers=3)] == names
    work = iter(make_trimaps("many", "stopped", workers=1))
    next(work)
    work.close()
    assert 1 <= len(list(Path("stopped").iterdir())) < 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0}, "--threshold 0: not a level of a mask; give 1 to 255"),
        ({"threshold": 256}, "--threshold 256"),
        ({"threshold": "a"}, "--threshold a: not a level of a mask; give 1 to 255"),
        ({"workers": 0}, "--workers 0: give a whole number, 1 or more"),
        ({"workers": 1.5}, "--workers 1.5: give a whole number, 1 or more"),
    ],
)
def test_the_function_checks_numbers_itself(masks, arguments, message):
    with pytest.raises(ConfigError, match=message):
        make_trimaps(masks, "out", **arguments)
