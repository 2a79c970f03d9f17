"""A program as a user of deepmat writes it: tests/test_api.py runs it, and `mypy --strict` accepts it."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import deepmat
from deepmat import DataError, DeepmatError, Work

Pixels = npt.NDArray[np.uint8]


def cut_one(weights: Path, photo: Path, guide: Path, out: Path) -> Pixels:
    """Cut out one picture. Returns the foreground colours."""
    model = deepmat.for_prediction(deepmat.load_model(weights), "fp32")
    image = deepmat.read_image(photo)
    trimap, notices = deepmat.read_trimap(guide, size=(image.shape[0], image.shape[1]))
    print(*notices, sep="\n")
    alpha: npt.NDArray[np.float32] = deepmat.predict(model, image, trimap, mode="whole")
    with Image.open(photo) as picture:
        again = deepmat.predict(model, picture, guide.read_bytes(), mode="whole")
    assert np.array_equal(alpha, again)
    foreground: Pixels = deepmat.estimate_foreground(image, alpha)
    deepmat.write_image(out / "foreground.png", foreground)
    deepmat.write_image(out / "alpha.png", alpha)
    return foreground


def cut_all(weights: Path, data: Path, out: Path) -> list[str]:
    """Cut out a folder of pictures. Returns the names of those done."""
    work = deepmat.cut_out([data / "image"], out, weights=weights, trimaps=data / "trimap", save="alpha")
    print(f"{work.total} pictures, {work.about}", *work.notices)
    return [record["name"] for record in work if "error" not in record]


def cut_without_trimap(weights: Path, photo: Path, mask: Path, out: Path) -> Pixels:
    """Cut out one photo by a rough mask. Returns RGBA."""
    made = deepmat.cut(photo, mask=mask, weights=weights, mode="whole")
    print(made.finder, made.why, *made.notices, sep="\n")
    alpha: npt.NDArray[np.float32] = made.alpha
    assert alpha.shape == made.trimap.shape == made.mask.shape
    work = deepmat.cut_photos(photo, out / "cutout.png", masks=mask, weights=weights, mode="whole", crop="5%")
    assert [record["finder"] for record in work] == [made.finder]
    rgba: Pixels = made.rgba
    return rgba


def score(weights: Path, data: Path) -> float:
    """Score a network on a test set. Returns the mean SAD."""
    evaluation = deepmat.evaluate(weights, data=data)
    summary = evaluation.run()
    return summary["means"][0]["mean"]["sad"]["mean"]


def shown(work: Work[Any]) -> int:
    """Do any job with a line per record. Returns the number of records."""
    number = 0
    for number, record in enumerate(work, 1):
        print(f"{number}/{work.total}", record)
    return number


def main(weights: Path, data: Path, out: Path) -> None:
    """Cut out, score and make trimaps of a test set."""
    first = next(iter(sorted((data / "image").iterdir())))
    cut_one(weights, first, data / "trimap" / first.name, out)
    cut_without_trimap(weights, first, data / "alpha" / first.name, out)
    names = cut_all(weights, data, out / "all")
    assert score(weights, data) >= 0
    assert shown(deepmat.make_trimaps([data / "alpha"], out / "trimaps", width="5%")) == len(names)
    config: deepmat.Config = deepmat.load_config(overrides=["model.arch=lite", "model.width=0.125"])
    assert deepmat.build_model(config.model).training
    try:
        deepmat.read_image(out / "none.png")
    except DataError as error:
        print(error)
    try:
        deepmat.load_model("none.pth")
    except DeepmatError as error:
        print(error)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
