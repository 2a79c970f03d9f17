import numpy as np
import pytest

from deepmat import trimap


@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("iterations", [5, 10, 14])
def test_from_alpha_equals_the_reference(golden, kernel, iterations):
    arrays = golden("trimap")
    made = trimap.from_alpha(arrays["alpha"], kernel, iterations)
    np.testing.assert_array_equal(made, arrays[f"k{kernel}_i{iterations}"])


def test_quantise_takes_the_nearest_level_and_says_so():
    sloppy = np.array([[0, 3, 63, 64, 127, 128, 130, 191, 192, 252, 255]], np.uint8)
    levels, notices = trimap.quantise(sloppy)
    np.testing.assert_array_equal(levels, [[0, 0, 0, 128, 128, 128, 128, 128, 255, 255, 255]])
    assert "73 % of the trimap was not 0, 128 or 255" in notices[0]
    assert trimap.quantise(levels) == (pytest.approx(levels), [])
