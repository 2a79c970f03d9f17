import numpy as np
import pytest
from PIL import ImageCms


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def profile_of():
    """profile_of() is sRGB's profile; swapped: red and green exchanged; space: the colour space that it names."""

    def make(space=b"RGB ", swapped=False):
        data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        if swapped:
            for before, after in (("rXYZ", "wait"), ("gXYZ", "rXYZ"), ("wait", "gXYZ")):
                data = data.replace(before.encode(), after.encode())
            data = data.replace("sRGB".encode("utf-16be"), "swap".encode("utf-16be"))
        return data[:16] + space + data[20:]

    return make
