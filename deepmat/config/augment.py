"""Config sections of the augmentation steps, in the order in which deepmat.data.augment applies them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from deepmat.config.fields import AtLeast1, FloatRange, NotNegative, Pair32, Percentages, Range, Section, Share


class Affine(Section):
    """Rotate, scale and shear a window around a pixel of fractional alpha."""

    probability: Share = 0.5
    rotate: NotNegative = 30
    """Degrees, either way."""
    scale: FloatRange = [0.8, 1.25]
    shear: NotNegative = 10
    """Degrees, either way."""
    window: Annotated[int, Field(ge=32)] = 768
    """Side in pixels, at least that of the largest crop, which is cut from the window."""


class Crop(Section):
    """A square crop, centred on a pixel of fractional alpha as far as the border allows."""

    sizes: Annotated[list[AtLeast1], Field(min_length=1)] = [320, 480, 640]
    """The side in pixels is one of these, or the picture's shorter side if that is less."""


class Resize(Section):
    """Scale the crop to the size of a sample."""

    size: Pair32 = [320, 320]
    """Height and width of a sample."""
    interpolation: Annotated[list[Literal["nearest", "linear", "cubic", "area", "lanczos"]], Field(min_length=1)] = [
        "linear"
    ]
    """One of these is drawn for each sample."""


class Flip(Section):
    """Mirror left to right."""

    probability: Share = 0.5


class Combine(Section):
    """Put a second foreground behind the first: alpha = 1 - (1 - a1)(1 - a2)."""

    probability: Share = 0.5


class Jitter(Section):
    """Shift the foreground's colours in HSV."""

    probability: Share = 1.0
    hue: NotNegative = 40
    """Degrees, either way."""
    saturation: Share = 0.3
    value: Share = 0.3
    """Saturation and value are multiplied by 1 - x to 1 + x."""


class Background(Section):
    """Choose the part of the background that goes behind the foreground."""

    fit: Literal["cover", "window"] = "cover"
    """cover: scaled to cover the foreground, as `deepmat composite` does; window: any part, at any scale."""


class Blur(Section):
    """Blur the image with a Gaussian."""

    probability: Share = 0.2
    sigma: FloatRange = [0.3, 1.5]
    """In pixels."""


class Noise(Section):
    """Add Gaussian noise to the image."""

    probability: Share = 0.3
    sigma: FloatRange = [1, 10]
    """In levels of 255."""


class Jpeg(Section):
    """Compress the image as JPEG."""

    probability: Share = 0.5
    quality: Percentages = [40, 95]


class Trimap(Section):
    """Make the trimap by erosion and dilation of alpha. Values are drawn from these ranges, ends included."""

    kernel: Range = [2, 4]
    """Size of the elliptical kernel in pixels."""
    iterations: Range = [5, 14]
    independent: bool = False
    """Draw separately for the border of the foreground and that of the background."""


class DistanceTrimap(Section):
    """Make some trimaps by distance instead: pixels within a drawn width of fractional alpha are unknown."""

    probability: Share = 0.5
    width: Range = [1, 40]
    """In pixels, log-uniform, drawn separately for the border of the foreground and that of the background."""
    uneven: Share = 0.0
    """Share of them whose width varies along the edge, as in trimaps painted by hand."""


class Blots(Section):
    """Mark ellipses anywhere in the trimap as unknown."""

    probability: Share = 0.3
    count: Range = [1, 4]
    radius: Range = [5, 80]
    """Both half axes in pixels, log-uniform."""


class Forget(Section):
    """Mark known pixels as unknown where their colour is near that of one drawn pixel of their side."""

    probability: Share = 0.2
    levels: Range = [15, 50]
    """Largest difference to that colour in each channel, in levels of 255."""


class Untold(Section):
    """Mark the whole foreground that `combine` put behind as unknown."""

    probability: Share = 0.5


class AugmentConfig(Section):
    """The steps from a picture to a sample, in this order; null leaves a step out."""

    affine: Affine | None = None
    crop: Crop = Crop()
    resize: Resize = Resize()
    flip: Flip | None = Flip()
    combine: Combine | None = None
    jitter: Jitter | None = None
    background: Background = Background()
    blur: Blur | None = None
    noise: Noise | None = None
    jpeg: Jpeg | None = None
    trimap: Trimap = Trimap()
    distance_trimap: DistanceTrimap | None = None
    blots: Blots | None = None
    forget: Forget | None = None
    untold: Untold | None = None

    @model_validator(mode="after")
    def _window_fits(self) -> "AugmentConfig":
        if self.affine and self.affine.window < max(self.crop.sizes):
            raise ValueError(f"affine.window {self.affine.window} is under crop.sizes {self.crop.sizes}; raise it")
        return self
