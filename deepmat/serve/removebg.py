"""remove.bg's API as its clients know it: POST /v1.0/removebg with the same fields, answers and headers.

What cannot be done here is refused; `type`, and a background or format that an alpha cannot have, are left out.
Pictures are never fetched: `image_url` is refused.
"""

import base64
import math
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deepmat.errors import ConfigError
from deepmat.inference.cropping import SEEN
from deepmat.serve.answers import documented
from deepmat.serve.forms import Picture, body_of, read_form
from deepmat.serve.making import MEDIA, Maker, Wanted, encode, matte, read_image, shrunk, subject_in, wanted_of
from deepmat.serve.refusals import Refusal
from deepmat.serve.service import Service
from deepmat.serve.workers import Stop
from deepmat.subject.finders import Prompts
from deepmat.subject.prompting import prompts_of

MEGAPIXELS = {"preview": 0.25, "small": 0.25, "regular": 0.25, "medium": 1.5, "hd": 4.0, "4k": 10.0}
"""Megapixels of the answer at most, by the value of `size`; the others keep the picture's size."""


class RemoveBgForm(BaseModel):
    """The fields of POST /v1.0/removebg. Unknown ones are ignored, as there."""

    model_config = ConfigDict(extra="ignore")

    image_file: Picture | None = Field(None, description="The picture.")
    image_file_b64: str | None = Field(None, description="The picture in base64.")
    image_url: str | None = Field(None, description="Refused: nothing is fetched.")
    size: Literal["preview", "small", "regular", "medium", "hd", "4k", "full", "50MP", "auto"] = "preview"
    type: str = Field("auto", description="Ignored: the subject is found whatever it is.", max_length=40)
    format: Literal["auto", "png", "jpg", "webp", "zip"] = "auto"
    channels: Literal["rgba", "alpha"] = "rgba"
    roi: str | None = Field(None, description='"x1 y1 x2 y2" in px or %, of what may be foreground.', max_length=80)
    crop: bool = False
    crop_margin: str = Field("0", description='"30px" or "10%" on each side.', max_length=20)
    scale: str = Field("original", max_length=20)
    position: str = Field("original", max_length=40)
    add_shadow: bool = False
    bg_color: str | None = Field(None, description='"81d4fa", "fff" or a name.', max_length=40)
    bg_image_url: str | None = Field(None, description="Refused: nothing is fetched.")
    bg_image_file: Picture | None = None


class _Asked(NamedTuple):
    image: bytes
    wanted: Wanted
    roi: str | None
    megapixels: float


def asked(form: RemoveBgForm, max_pixels: int) -> _Asked:
    """Return what a request asks for. Raises ConfigError, Refusal."""
    if form.image_url or form.bg_image_url:
        raise ConfigError("image_url, bg_image_url: nothing is fetched here; send image_file, bg_image_file")
    unable = {
        "scale": form.scale not in ("", "original", "100%"),
        "position": form.position not in ("", "original"),
        "add_shadow": form.add_shadow,
        "format": form.format == "zip",
    }
    if any(unable.values()):
        raise ConfigError(f"{', '.join(name for name, is_so in unable.items() if is_so)}: not available here")
    if bool(form.image_file) == bool(form.image_file_b64):
        raise ConfigError("image_file, image_file_b64: send one of them")
    image = form.image_file or _decoded(form.image_file_b64 or "")
    behind = form.bg_color or form.bg_image_file
    kind = "alpha" if form.channels == "alpha" else "composite" if behind or form.format == "jpg" else "cutout"
    suffix = {"auto": "jpg" if kind == "composite" else "png"}.get(form.format, form.format)
    colour = _colour(form.bg_color) if form.bg_color and kind == "composite" else None
    picture = form.bg_image_file if kind == "composite" else None
    margin = form.crop_margin.replace("px", "") if form.crop else None
    suffix = "png" if kind == "alpha" else suffix
    wanted = wanted_of(kind, suffix, colour, picture, margin, False, max_pixels)
    return _Asked(image, wanted, form.roi or None, MEGAPIXELS.get(form.size, math.inf))


def _decoded(text: str) -> bytes:
    """Return the bytes of base64, a data URL's included."""
    start, mark, _ = text[:100].partition("base64,")
    try:
        return base64.b64decode(text[len(start) + len(mark) :] if mark else text)
    except ValueError as error:
        raise Refusal("no_picture", "image_file_b64: is no base64") from error


def _colour(text: str) -> str:
    is_hex = len(text) in (3, 6) and not set(text.lower()) - set("0123456789abcdef")
    return f"#{text}" if is_hex else text


def box_of(roi: str, size: tuple[int, int]) -> str:
    """Return the box of a region of interest, "0% 10% 90% 100%" or "0px 20px 300px 400px", of a (height, width)."""
    parts = roi.replace(",", " ").split()
    try:
        if len(parts) != 4:
            raise ValueError
        sides = [size[1], size[0]] * 2
        numbers = [
            float(part[:-1]) / 100 * side if part.endswith("%") else float(part.removesuffix("px"))
            for part, side in zip(parts, sides, strict=True)
        ]
        return ",".join(str(round(each)) for each in numbers)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f'roi {roi!r}: give "x1 y1 x2 y2" in px or %') from error


def _made(maker: Maker, ask: _Asked, stop: Stop) -> tuple[bytes, dict[str, Any]]:
    """Return the answer's picture, and its size and the place of its foreground."""
    whole = read_image(ask.image, maker.max_pixels)
    roi = prompts_of(box_of(ask.roi, whole.size)) if ask.roi else Prompts()
    read, prompts = shrunk(whole, roi, ask.megapixels * 1e6)
    cut, _ = matte(maker, read, subject_in(maker, read, None, None, prompts), stop)
    if prompts.box:
        left, top, right, bottom = prompts.box
        inside = np.zeros_like(cut.alpha)
        part = np.s_[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        inside[part] = cut.alpha[part]
        cut = replace(cut, alpha=inside)
    left, top, across, down = cv2.boundingRect((cut.levels >= SEEN).view(np.uint8))
    data, (height, width) = encode(cut, ask.wanted)
    place = {"foreground_top": top, "foreground_left": left, "foreground_width": across, "foreground_height": down}
    return data, {"width": width, "height": height, **place}


def add_routes(app: FastAPI, service: Service) -> None:
    """Add remove.bg's route."""
    limits = service.settings
    example = {"image_file": "@photo.jpg", "size": "auto", "format": "png"}

    @app.post(
        "/v1.0/removebg",
        summary="remove.bg's API",
        response_class=Response,
        responses=documented(),
        openapi_extra=body_of(RemoveBgForm, example, "application/x-www-form-urlencoded", "application/json"),
    )
    async def remove(request: Request) -> Response:
        """Answers as remove.bg does: a picture, or JSON with `Accept: application/json`."""
        form = await read_form(request, RemoveBgForm, limits.max_bytes, takes_json=True)
        ask = asked(form, service.maker.max_pixels)

        def work(stop: Stop) -> tuple[bytes, dict[str, Any]]:
            stop.check()
            return _made(service.maker, ask, stop)

        data, about = await service.do(request, work)
        headers = {"X-Type": "other", "X-Credits-Charged": "0"}
        headers |= {"-".join(["X", *map(str.capitalize, name.split("_"))]): str(value) for name, value in about.items()}
        if "application/json" in request.headers.get("accept", ""):
            place = {name: value for name, value in about.items() if name.startswith("foreground")}
            return JSONResponse({"data": {"result_b64": base64.b64encode(data).decode(), **place}}, headers=headers)
        return Response(data, media_type=MEDIA[ask.wanted.suffix], headers=headers)
