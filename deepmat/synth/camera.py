"""Light and camera: blur, relief and grain on drawn layers, and straight colours at the end."""

import cv2
import numpy as np

from deepmat.synth.drawing import coordinates, fractal_noise, smooth_step, to_bytes, whole


def gaussian_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur. A wide one runs on a smaller copy, so that the cost does not grow with sigma."""
    if sigma < 0.1:
        return image
    height, width = image.shape[:2]
    factor = max(1.0, sigma / 2)
    if factor == 1:
        return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    size = max(1, round(width / factor)), max(1, round(height / factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC if factor > 3 else cv2.INTER_LINEAR)


def defocus(image: np.ndarray, depth: np.ndarray, sigma: float) -> np.ndarray:
    """Depth of field over [H W C]: sharp where depth [H W] is 0, blurred by sigma pixels where it is 1."""
    depth = depth.astype(np.float32, copy=False)
    near, far = np.clip(depth * 2, 0, 1), np.clip(depth * 2 - 1, 0, 1)
    image = cv2.blendLinear(image, gaussian_blur(image, sigma / 3), 1 - near, near)
    return cv2.blendLinear(image, gaussian_blur(image, sigma), 1 - far, far)


def soft_focus(rng: np.random.Generator, layers: np.ndarray) -> np.ndarray:
    """Layers [H W C] as portraits show hair: three in four are out of focus, all over or in parts."""
    height, width = layers.shape[:2]
    pixel, focus = max(1.0, min(height, width) / 320), rng.random()
    if focus < 0.45:
        return gaussian_blur(layers, rng.uniform(0.5, 3.0) * pixel)
    if focus < 0.75:
        depth = fractal_noise(rng, height, width, 2.0, 2, 4)
        return defocus(layers, np.clip(2 * depth - 0.4, 0, 1), rng.uniform(1.5, 6.0) * pixel)
    return layers


def motion_blur(layers: np.ndarray, x: float, y: float) -> np.ndarray:
    """Layers [H W C] of a subject that moves evenly by (x, y) pixels while the shutter is open.

    The mean over the path is computed in halves: of a picture and its copy moved by half of it, then by a quarter, ...
    """
    size = layers.shape[1::-1]
    while np.hypot(x, y) > 0.7:
        x, y = x / 2, y / 2
        move = np.array([[1, 0, x], [0, 1, y]], np.float32)
        layers = (layers + cv2.warpAffine(layers, move, size, borderMode=cv2.BORDER_REPLICATE)) * np.float32(0.5)
    return layers


def add_grain(rng: np.random.Generator, picture: np.ndarray, strength: float) -> np.ndarray:
    """A picture, uint8 [H W 3], with sensor noise of up to `strength` levels in both directions."""
    noise = np.frombuffer(rng.bytes(picture.size), np.uint8).reshape(picture.shape)
    return cv2.addWeighted(picture, 1, noise, strength / 127.5, -strength)


def _divide(layers: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """Straight colours: those of the layers, with a smooth transition to `beyond` where alpha nears 0."""
    total = cv2.scaleAdd(beyond, 0.02, layers)
    return cv2.divide(total, cv2.merge([cv2.extractChannel(total, 3)] * 4))


def _extend(layers: np.ndarray) -> np.ndarray:
    """Straight colours of layers, extended into empty parts from coarser and coarser copies; and 1 for alpha."""
    height, width = layers.shape[:2]
    if max(height, width) <= 2:
        straight = layers / np.maximum(layers[..., 3:], 1e-3)
        straight[..., 3] = 1
        return straight
    half = cv2.resize(layers, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    return _divide(layers, cv2.resize(_extend(half), (width, height), interpolation=cv2.INTER_LINEAR))


def straighten(layers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Layers -> straight colours uint8 [H W 3], defined everywhere, and alpha uint8 [H W]."""
    height, width = layers.shape[:2]
    small = cv2.resize(layers, (-(-width // 6), -(-height // 6)), interpolation=cv2.INTER_AREA)
    beyond = cv2.resize(_extend(small), (width, height), interpolation=cv2.INTER_LINEAR)
    straight = cv2.convertScaleAbs(_divide(layers, beyond), alpha=255)
    return cv2.cvtColor(straight, cv2.COLOR_RGBA2RGB), to_bytes(cv2.extractChannel(layers, 3))


def shine(rng: np.random.Generator, colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Straight colours, uint8 [H W 3], under uneven light from one side, with a relief near the edges."""
    turn, zoom = rng.uniform(-np.pi, 0), min(1.0, 80 / min(alpha.shape))
    # The slope of a small copy, since that of a picture that was enlarged would show its grid.
    small = cv2.resize(alpha, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA).astype(np.float32)
    soft = cv2.GaussianBlur(small, (0, 0), 3.0) * np.float32(1 / 255)
    slope = cv2.Sobel(soft, cv2.CV_32F, 1, 0) * np.cos(turn) + cv2.Sobel(soft, cv2.CV_32F, 0, 1) * np.sin(turn)
    x, y = coordinates(whole(*small.shape))
    light = 1 + 0.2 * (x * np.cos(turn) + y * np.sin(turn)) - np.clip(0.3 * slope, -0.25, 0.25)
    light *= 0.85 + 0.3 * fractal_noise(rng, *small.shape)
    tinted = cv2.merge([light.astype(np.float32) * np.float32(rng.uniform(0.94, 1.06)) for _ in range(3)])
    return cv2.multiply(
        colour, cv2.resize(tinted, colour.shape[1::-1], interpolation=cv2.INTER_LINEAR), dtype=cv2.CV_8U
    )


def finish(rng: np.random.Generator, layers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Straight colours and alpha, uint8, of layers, with relief, lens blur, sometimes motion blur, and grain."""
    height, width = layers.shape[:2]
    lens, pixel = rng.random(), min(height, width) / 320
    if lens < 0.35:
        layers = gaussian_blur(layers, rng.uniform(0.4, 0.9) * max(1, pixel))
    elif lens < 0.45:
        layers = gaussian_blur(layers, rng.uniform(1.0, 2.5) * pixel)
    elif lens < 0.6:
        depth = smooth_step(fractal_noise(rng, height, width, 2.0, 2, 4), 0.4, 0.9)
        layers = defocus(layers, depth, rng.uniform(1.0, 5.0) * pixel)
    if rng.random() < 0.12:
        turn, reach = rng.uniform(0, 2 * np.pi), rng.uniform(3, 24) * pixel
        layers = motion_blur(layers, reach * np.cos(turn), reach * np.sin(turn))
    colour, alpha = straighten(layers)
    return add_grain(rng, shine(rng, colour, alpha), rng.uniform(0, 7)), alpha
