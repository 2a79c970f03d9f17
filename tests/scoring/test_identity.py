import numpy as np
import pytest

from deepmat.data.compositing import MANIFEST, build_composites, plan_adobe, plan_folders
from deepmat.scoring.identity import Identity, changed_images, checksum, differences_from_published, digest, identify


def beside(image):
    return {kind: image.parent / kind for kind in ("image", "trimap", "alpha")}


def test_a_manifest_tells_compositor_trimaps_and_foregrounds(source, data, tmp_path):
    official = list(plan_adobe(source, "test", source / "bg_test", 2, "cv2"))
    list(build_composites(official, tmp_path / "official"))
    about, notices = identify(beside(tmp_path / "official" / "test" / "image"))
    assert (about.compositor, about.trimaps, notices) == ("cv2", "given", [])
    assert about.foregrounds == {entry["name"]: entry["fg"] for entry in official}
    assert len(set(about.foregrounds.values())) == 2
    elsewhere = beside(tmp_path / "official" / "test" / "image") | {"trimap": tmp_path}
    assert identify(elsewhere)[0] == Identity("unknown", "unknown", {})
    images = tmp_path / "official" / "test" / "image"
    assert changed_images(images) == []
    image = sorted(images.iterdir())[1]
    image.write_bytes(image.read_bytes()[:-1] + b"x")
    assert changed_images(images) == [f"1 image changed since composited, {image.stem} for one"]
    mixed = [{**official[0], "trimap": None}, *official[1:]]
    list(build_composites(mixed, tmp_path / "mixed"))
    assert identify(beside(tmp_path / "mixed" / "test" / "image"))[0].trimaps == "from alphas"
    own, _ = plan_folders(data / "test" / "fg", data / "test" / "alpha", data / "test" / "bg", "test", 1)
    list(build_composites(own, tmp_path / "own"))
    assert identify(beside(tmp_path / "own" / "test" / "image"))[0][:2] == ("adobe", "from alphas")
    assert identify(beside(tmp_path / "image")) == (Identity("unknown", "unknown", {}), [])
    (tmp_path / MANIFEST).write_text("[]\n[]\n")
    about, notices = identify(beside(tmp_path / "image"))
    assert about.compositor == "unknown" and MANIFEST in notices[0]


NAMES = [f"{foreground}_{k}" for foreground in range(50) for k in range(20)]
COMPOSITION_1K = Identity("adobe", "given", {name: name.split("_")[0] for name in NAMES})
UNEVEN = {**COMPOSITION_1K.foregrounds, "0_0": "1"}
PUBLISHED = {"protocol": "matlab", "precision": "fp32", "mode": "whole", "fit": "keep"}


def told(about=COMPOSITION_1K, names=NAMES, failed=0, odd=0, shrunk=0, **settings):
    return differences_from_published(about, names, {**PUBLISHED, **settings}, failed, odd, shrunk)


def test_only_all_of_it_compares_with_what_is_published():
    assert told() == []
    assert differences_from_published(COMPOSITION_1K, NAMES, {"protocol": "matlab"}, 0, 0, 0) == []  # saved mattes
    assert told(mode="auto") == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"names": NAMES[:999]}, "999 pictures, where Composition-1k has 1000"),
        ({"about": COMPOSITION_1K._replace(foregrounds=dict.fromkeys(NAMES, "one"))}, "1 foreground, where it has 50"),
        ({"about": COMPOSITION_1K._replace(foregrounds=UNEVEN)}, "with 20 backgrounds"),
        ({"about": COMPOSITION_1K._replace(foregrounds={})}, "1000 pictures in no manifest.jsonl"),
        ({"about": COMPOSITION_1K._replace(compositor="cv2")}, "composited by cv2, not by adobe"),
        ({"about": COMPOSITION_1K._replace(trimaps="from alphas")}, "trimaps from alphas, not the official ones"),
        ({"protocol": "mmagic"}, "protocol mmagic, not matlab"),
        ({"precision": "bf16"}, "precision bf16, not fp32"),
        ({"mode": "crop"}, "mode crop"),
        ({"fit": "stretch"}, "width and height stretched separately"),
        ({"shrunk": 3}, "3 pictures shrunk for the network"),
        ({"odd": 1}, "1 trimap that is odd"),
        ({"failed": 2}, "2 pictures not scored"),
    ],
)  # fmt: skip
def test_each_difference_is_told(change, reason):
    reasons = told(**change)
    assert len(reasons) == 1 and reason in reasons[0]


def test_a_checksum_is_of_pixels_and_names():
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert digest(picture) == digest(picture.copy(order="F")) != digest(picture.reshape(4, 3))
    assert digest(picture, picture) != digest(picture)
    one = {"a": digest(picture), "b": "0" * 64}
    assert checksum(one) == checksum(dict(reversed(one.items()))) != checksum({"a": one["a"]})
    assert len(checksum(one)) == 16 and checksum(one) != checksum({"a": one["a"], "c": one["b"]})
