"""What the page asks for: pictures that are kept for a while, strokes on their trimaps, and files made of them."""

import io
import zipfile
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from deepmat.errors import ConfigError, DataError, NoSubject
from deepmat.imaging.writing import encode_lossy
from deepmat.inference.outputs import CutOut
from deepmat.serve.forms import Output, Picture, Where, read_form
from deepmat.serve.making import MEDIA, Read, encode, matte, read_image, subject_in
from deepmat.serve.pictures import Held
from deepmat.serve.previews import Preview, preview_of
from deepmat.serve.refusals import Refusal, refusal_of
from deepmat.serve.service import Service
from deepmat.serve.strokes import Rectangle, checked, levels_of, trimap_of, unpacked, with_alpha, with_trimap
from deepmat.serve.workers import Stop
from deepmat.subject.finders import Prompts

RAW = "application/octet-stream"
QUALITY = 92
"""Of the photo as the page shows it."""
MOST = 100
"""Pictures in an archive."""
ARCHIVE = 1_000_000_000
"""Bytes of an archive, which is made in memory."""


class SubjectForm(Where):
    """The fields of POST /v1/pictures/{id}/subject."""

    preview: bool = Field(False, description="Where the whole takes seconds, make a preview of it and no more.")


class PictureForm(SubjectForm):
    """The fields of POST /v1/pictures."""

    image: Picture


class StrokeForm(BaseModel):
    """The fields of POST /v1/pictures/{id}/trimap."""

    model_config = ConfigDict(extra="forbid")

    trimap: Picture | None = Field(None, description="Levels 0, 128, 255 of the rectangle, a byte each, row by row.")
    packed: Picture | None = Field(None, description="The same as gzip, in place of trimap.")
    alpha: Picture | None = Field(None, description="Alpha of the rectangle, to be taken as it is: undo.")
    left: int
    top: int
    width: int
    height: int
    preview: bool = Field(False, description="Of the preview, for the time until the whole is made.")

    def levels(self, at: Rectangle) -> bytes:
        """Return the levels of the rectangle. Raises ConfigError unless they were sent once."""
        if self.trimap is not None and self.packed is None:
            return self.trimap
        if self.packed is None or self.trimap is not None:
            raise ConfigError("trimap, packed: send one of them")
        return unpacked(self.packed, at)


class ArchiveForm(Output):
    """The fields of POST /v1/archive."""

    ids: list[str] = Field(max_length=MOST)
    names: list[str] = Field(max_length=MOST, description="Of the files, in the order of the pictures.")


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the routes of the page."""
    _add_pictures(app, service)
    _add_strokes(app, service)
    _add_files(app, service)


class _Made(NamedTuple):
    """What is made of a picture when its subject is sought."""

    cut: CutOut
    """Blank where no subject is found, for a hand that shows it, and beside a preview."""
    preview: Preview | None
    told: dict[str, Any]
    """The JSON that the page gets."""


def _sought(service: Service, read: Read, prompts: Prompts, preview: bool, stop: Stop) -> _Made:
    """Find the subject of a picture and cut it out, or make a preview of it where one is wanted and worth it."""
    if any(prompts):
        read = read._replace(own=None)  # a click means the picture, whatever its alpha channel says
    blank = np.zeros(read.size, np.uint8)
    cut = CutOut("image", read.photo.image, blank.astype(np.float32), blank, read.about, estimated=True)
    quick = preview_of(service.maker, read, prompts, stop) if preview else None
    told: dict[str, Any] = {"preview": False, "finder": "", "why": "", "notices": read.notices, "problem": None}
    if quick:
        return _Made(cut, quick, {**told, "preview": True, "finder": quick.finder, "why": quick.why})
    try:
        subject = subject_in(service.maker, read, None, None, prompts)
        cut, notices = matte(service.maker, read, subject, stop)
        told |= {"finder": subject.finder, "why": subject.why, "notices": notices}
    except NoSubject as error:  # the page has its own words for what helps
        told["problem"] = f"image: {error.missing}"
    except (ConfigError, DataError) as error:
        refusal = refusal_of(error)
        if refusal.code not in ("unusable", "bad_request"):
            raise
        told["problem"] = refusal.detail
    return _Made(cut, None, told)


def _add_pictures(app: FastAPI, service: Service) -> None:
    limit, limits = service.maker.max_pixels, service.settings

    @app.post("/v1/pictures", include_in_schema=False)
    async def add(request: Request) -> dict[str, Any]:
        form = await read_form(request, PictureForm, limits.max_bytes)
        prompts = form.prompts()

        def work(stop: Stop) -> dict[str, Any]:
            stop.check()
            read = read_image(form.image, limit)
            made = _sought(service, read, prompts, form.preview, stop)
            stop.check()
            name = service.pictures.add(Held(read, made.cut, made.preview))
            return {"id": name, "width": read.size[1], "height": read.size[0], **made.told}

        return await service.do(request, work, urgent=form.preview)

    @app.post("/v1/pictures/{name}/subject", include_in_schema=False)
    async def find(request: Request, name: str) -> dict[str, Any]:
        form = await read_form(request, SubjectForm, limits.max_bytes)
        held, prompts = service.pictures.get(name), form.prompts()

        def work(stop: Stop) -> dict[str, Any]:
            stop.check()
            made = _sought(service, held.read, prompts, form.preview, stop)
            if made.told["problem"]:
                raise Refusal("no_subject", made.told["problem"])
            with held.lock:  # not before: strokes on a preview go on while the whole is made
                stop.check()
                held.preview = made.preview
                if not made.preview:
                    held.cut = made.cut
            return made.told

        return await service.do(request, work, urgent=form.preview)

    @app.delete("/v1/pictures/{name}", include_in_schema=False, status_code=204)
    async def remove(name: str) -> Response:
        service.pictures.remove(name)
        return Response(status_code=204)


def pixels(cut: CutOut, at: Rectangle) -> bytes:
    """Return foreground colours and alpha of a part of a cut-out, four bytes a pixel, row by row."""
    image, alpha = (np.ascontiguousarray(each[at.inside]) for each in (cut.image, cut.alpha))
    backdrop = None if cut.backdrop is None else np.ascontiguousarray(cut.backdrop[at.inside])
    part = replace(cut, image=image, alpha=alpha, backdrop=backdrop)
    return np.dstack((part.foreground, part.levels)).tobytes()


def _add_strokes(app: FastAPI, service: Service) -> None:
    limits, network = service.settings, service.maker.network

    @app.post("/v1/pictures/{name}/trimap", include_in_schema=False)
    async def stroke(request: Request, name: str) -> Response:
        form = await read_form(request, StrokeForm, limits.max_bytes)
        held = service.pictures.get(name)
        at = checked(form.left, form.top, form.width, form.height, held.read.size)
        patch = trimap_of(form.levels(at), at)
        levels = None if form.alpha is None else levels_of(form.alpha, at, "alpha")

        def work(stop: Stop) -> Response:
            with held.lock:
                stop.check()
                if form.preview:
                    if held.preview is None:
                        raise Refusal("bad_request", "preview: the whole is made")
                    cut, changed = with_trimap(network, held.preview.cut, patch, at)
                    held.preview = held.preview._replace(cut=cut)
                elif levels is not None:
                    held.cut = with_alpha(held.cut, patch, levels, at)
                    return Response(status_code=204)
                else:
                    cut, changed = with_trimap(network, held.cut, patch, at)
                    held.cut = cut
            return Response(pixels(cut, changed), media_type=RAW, headers={"X-Rectangle": ",".join(map(str, changed))})

        return await service.do(request, work, urgent=True)

    @app.get("/v1/pictures/{name}/{what}", include_in_schema=False)
    async def show(request: Request, name: str, what: str) -> Response:
        held = service.pictures.get(name)
        cut, (height, width) = held.cut, held.read.size
        preview = held.preview
        if what == "trimap":
            return Response((preview.cut if preview else cut).trimap.tobytes(), media_type=RAW)
        if what == "preview" and preview:
            return Response(preview.file, media_type="image/png")
        if what not in ("photo", "pixels"):
            raise Refusal("not_found", "ask for photo, preview, pixels or trimap")

        def work(stop: Stop) -> Response:
            stop.check()
            if what == "photo":
                return Response(encode_lossy(cut.image, ".jpg", QUALITY), media_type="image/jpeg")
            return Response(pixels(cut, Rectangle(0, 0, width, height)), media_type=RAW)

        return await service.do(request, work, urgent=True)


def _add_files(app: FastAPI, service: Service) -> None:
    limits = service.settings

    @app.post("/v1/pictures/{name}/output", include_in_schema=False)
    async def output(request: Request, name: str) -> Response:
        form = await read_form(request, Output, limits.max_bytes)
        cut, wanted = service.pictures.get(name).cut, form.wanted(limits.max_pixels)

        def work(stop: Stop) -> Response:
            stop.check()
            return Response(encode(cut, wanted)[0], media_type=MEDIA[wanted.suffix])

        return await service.do(request, work, urgent=True)

    @app.post("/v1/archive", include_in_schema=False)
    async def archive(request: Request) -> Response:
        """All of a list as a ZIP file. Names are those of its entries, and open nothing."""
        form = await read_form(request, ArchiveForm, limits.max_bytes)
        cuts, wanted = [service.pictures.get(each).cut for each in form.ids], form.wanted(limits.max_pixels)
        names = _entries(form.names, len(cuts), wanted.suffix)

        def work(stop: Stop) -> Response:
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as packed:
                for name, cut in zip(names, cuts, strict=True):
                    stop.check()
                    packed.writestr(name, encode(cut, wanted)[0])
                    if file.tell() > ARCHIVE:
                        raise Refusal("too_large", "the archive is over 1 GB; take fewer pictures at once")
            return Response(file.getvalue(), media_type="application/zip")

        return await service.do(request, work)


def _entries(names: list[str], count: int, suffix: str) -> list[str]:
    """Return names of entries, all different and of no folder. Raises Refusal if they are not as many as pictures."""
    if len(names) != count or not names:
        raise Refusal("bad_request", "names: send one for each of ids")
    entries: list[str] = []
    for name in names:
        stem = "".join(char if char.isalnum() or char in " -_()" else "_" for char in name)[:80].strip() or "picture"
        number, entry = 1, f"{stem}{suffix}"
        while entry in entries:
            number += 1
            entry = f"{stem}-{number}{suffix}"
        entries.append(entry)
    return entries
