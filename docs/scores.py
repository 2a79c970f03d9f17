"""Draw docs/scores.png: a procedural alpha, a flawed prediction of it, and the errors that each score measures."""

from pathlib import Path

import cv2
import numpy as np

from deepmat import imaging, synth
from deepmat.data.compositing import COMPOSITORS
from deepmat.imaging import trimap
from deepmat.imaging.sheets import sheet
from deepmat.report import format_score
from deepmat.report.views import COLOURS
from deepmat.scoring.metrics import METRICS, REGIONS
from deepmat.scoring.metrics import scores as parts


def coloured(error: np.ndarray) -> np.ndarray:
    """The colours of an error, uint8 RGB [H, W, 3]. error: float [H, W] of any scale."""
    return COLOURS[imaging.to_uint8(error / error.max())]


def main() -> None:
    rng = np.random.default_rng(4)
    colours, alpha = synth.foreground(rng, 320, 320, "dandelion")
    image = COMPOSITORS["cv2"].blend(colours, alpha, synth.background(rng, *alpha.shape))
    levels = trimap.by_distance(alpha, 12, 12)
    pred = cv2.GaussianBlur(alpha, (0, 0), 1.5)  # too soft,
    pred[:, 200:230] //= 2  # a part cut off,
    pred[60:110, 70:120] = np.maximum(pred[60:110, 70:120], 110)  # a haze
    pred = np.where(trimap.unknown_region(levels), pred, levels).astype(np.uint8)
    unknown = trimap.unknown_region(levels)
    scores = {name: format_score(name, metric(pred, alpha, unknown)) for name, metric in METRICS.items()}
    gradient = np.abs(parts._gradient_magnitude(pred / 255) - parts._gradient_magnitude(alpha / 255))
    last = parts._last_in_source(cv2.LUT(cv2.min(pred, alpha), parts.thresholds_passed("single")), background=False)
    table = parts._phi_table()
    errors = {
        f"|p - a|, SAD {scores['sad']}": coloured(cv2.absdiff(pred, alpha) * unknown),
        f"gradients, Grad {scores['grad']}": coloured(gradient * unknown),
        f"phi, Conn {scores['conn']}": coloured(np.abs(table[last, pred] - table[last, alpha]) * unknown),
        "fine parts": (REGIONS["fine"](alpha, levels) * 255).astype(np.uint8),
    }
    shown = {"image": image, "trimap": levels, "truth": alpha, "prediction": pred}
    halves = [sheet([("", list(row.values()))], tuple(row), side=240) for row in (shown, errors)]
    imaging.write_image(Path(__file__).with_suffix(".png"), np.vstack(halves))


if __name__ == "__main__":
    main()
