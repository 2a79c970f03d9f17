"""Alphas of classical methods by PyMatting, for comparison: `python -m benchmarks.mattes IMAGES TRIMAPS OUT`.

Writes float alphas to OUT/NAME.tif, for `deepmat eval --predictions OUT`.
"""

import time
import warnings
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from deepmat import imaging
from deepmat.errors import DataError, lookup
from deepmat.imaging import trimap
from deepmat.runtime.listing import list_pictures
from deepmat.runtime.pairing import pair

METHODS = {"cf": "estimate_alpha_cf", "knn": "estimate_alpha_knn", "lbdm": "estimate_alpha_lbdm"}


def main(
    images: Annotated[Path, typer.Argument(help="Folder of pictures.")],
    trimaps: Annotated[Path, typer.Argument(help="Folder of their trimaps.")],
    out: Annotated[Path, typer.Argument(help="Folder for the alphas.")],
    method: Annotated[str, typer.Option(help=", ".join(METHODS))] = "cf",
) -> None:
    """Estimate the alpha of every picture, and print the seconds of each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the cache of compiled code, on import
        import pymatting

    estimate = getattr(pymatting, lookup(METHODS, method, "method"))
    pictures, _ = list_pictures(images)
    partners, _ = pair(list(pictures), trimaps, "trimap")
    for name, path in pictures.items():
        partner = partners[name]
        if isinstance(partner, DataError):
            raise SystemExit(str(partner))
        levels, _ = trimap.read_trimap(partner)
        begin = time.perf_counter()
        guide = np.where(trimap.unknown_region(levels), 0.5, levels / 255)
        if not {0, 1} <= set(np.unique(guide)):
            print(f"{name}  skipped: the method needs known foreground and known background")
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about slow convergence
            alpha = estimate(imaging.read_image(path) / 255, guide)
        imaging.write_image(out / f"{name}.tif", alpha.clip(0, 1).astype(np.float32))
        print(f"{name}  {time.perf_counter() - begin:.2f} s", flush=True)


if __name__ == "__main__":
    typer.run(main)
