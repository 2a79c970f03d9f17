"""The inner loop of the matting Laplacian, compiled by numba (`pip install 'deepmat[fast]'`)."""

import numpy as np

from deepmat.runtime.compiled import compiled


@compiled
def weigh(
    colours: np.ndarray,
    places: np.ndarray,
    number: np.ndarray,
    shifts: np.ndarray,
    steps: np.ndarray,
    means: np.ndarray,
    inverses: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the Laplacian between pixels and those around them to `out`, float32 [N, 25].

    colours: uint8 [3, P]; places: int64 [N]; number: int32 [P], the number of the window around each pixel, M for none;
    shifts, steps: int64 [9] and [25], from a pixel to the windows that hold it and to those that share one with it;
    means, inverses: as of `laplacian._statistics`.
    """
    last = means.shape[1] - 1
    total = np.empty(25)
    for i in range(places.size):
        place = places[i]
        total[:] = 0.0
        for k in range(9):
            window = number[place + shifts[k]]
            if window == last:
                continue
            red, green, blue = means[0, window], means[1, window], means[2, window]
            x = colours[0, place] / 255.0 - red
            y = colours[1, place] / 255.0 - green
            z = colours[2, place] / 255.0 - blue
            xx, xy, xz = inverses[0, window], inverses[1, window], inverses[2, window]
            yy, yz, zz = inverses[3, window], inverses[4, window], inverses[5, window]
            along = xx * x + xy * y + xz * z
            across = xy * x + yy * y + yz * z
            away = xz * x + yz * y + zz * z
            first = 5 * (k // 3) + k % 3
            for row in range(3):
                for column in range(3):
                    at = first + 5 * row + column
                    beside = place + steps[at]
                    shared = (colours[0, beside] / 255.0 - red) * along
                    shared += (colours[1, beside] / 255.0 - green) * across
                    shared += (colours[2, beside] / 255.0 - blue) * away
                    total[at] -= (1.0 + shared) / 9.0
        total[12] = 0.0
        total[12] = -total.sum()  # rows of a Laplacian sum to 0
        for at in range(25):
            out[i, at] = total[at]
