"""What every form of DIM is held to."""

import torch

VARIANTS = [{"refine": True}, {"skip": False}, {"conv6": 1, "skip": False, "refine": True}]


def scene(height, width):
    """Noise, in which pooling has no ties, and a trimap with unknown pixels in the middle, at a border, in a corner."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, generator=generator)
    trimap = torch.full((1, 1, height, width), 255, dtype=torch.uint8)
    trimap[..., 100:200, 60:160] = 0
    trimap[..., 70:130, 40:70] = 128
    trimap[..., 280:, 150:] = 128
    trimap[..., 0, 0] = 128
    return image, trimap
