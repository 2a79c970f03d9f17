"""The fields of requests: read whole from forms or JSON, checked by models, described for OpenAPI."""

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from deepmat.serve.making import KINDS, Wanted, wanted_of
from deepmat.serve.refusals import Refusal
from deepmat.subject.finders import Prompts
from deepmat.subject.prompting import prompts_of

FILES, FIELDS = 8, 200
"""Parts of a request at most."""
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")

Picture = Annotated[bytes, Field(json_schema_extra={"format": "binary"})]
Kind = Literal[KINDS]  # type: ignore[valid-type]
Format = Literal["png", "jpg", "webp", "avif", "tif", "exr"]


def _split(fields: list[str]) -> list[str]:
    """The points of all fields of a name."""
    return [point for each in fields for point in each.replace(";", " ").split()]


Points = Annotated[list[str], AfterValidator(_split)]


class Output(BaseModel):
    """What is to be made of a cut-out."""

    model_config = ConfigDict(extra="forbid")

    output: Kind = Field("cutout", description="What to answer with; `deepmat cut --save` has the same kinds.")
    format: Format | None = Field(None, description="File format; by default the kind's first, mostly PNG.")
    background: str | None = Field(None, description='Of a composite: a colour, "white" or "#1188ff".', max_length=64)
    background_image: Picture | None = Field(None, description="Of a composite: a picture, which covers it.")
    crop: str | None = Field(
        None, description='Crop to the subject, with this margin: "0", pixels "20" or a share "5%".', max_length=16
    )
    square: bool = Field(False, description="Crop to a square; without crop, with no margin.")

    def wanted(self, max_pixels: int) -> Wanted:
        """Return what is wanted, checked. Raises ConfigError, Refusal."""
        crop = self.crop if self.crop is not None or not self.square else "0"
        return wanted_of(
            self.output, self.format, self.background, self.background_image, crop, self.square, max_pixels
        )


class Where(BaseModel):
    """Where the subject of a picture is, in pixels of the upright picture from its top left corner."""

    model_config = ConfigDict(extra="forbid")

    box: str | None = Field(None, description="left,top,right,bottom of a box that holds the subject.", max_length=100)
    points: Points = Field([], description='x,y of pixels of the subject, "400,250;380,90", or the field repeated.')
    not_points: Points = Field([], description="x,y of pixels of the background.")

    def prompts(self) -> Prompts:
        """Return them as finders take them. Raises ConfigError."""
        return prompts_of(self.box, self.points, self.not_points)


class CutoutForm(Output, Where):
    """The fields of POST /v1/cutout."""

    image: Picture = Field(description="The picture: PNG, JPEG, WebP, TIFF, AVIF, HEIC.")
    trimap: Picture | None = Field(None, description="0 background, 128 unknown, 255 foreground; in place of a finder.")
    mask: Picture | None = Field(None, description="A rough mask of the subject, of any size of the picture's ratio.")


Form = TypeVar("Form", bound=BaseModel)


async def read_form(request: Request, form: type[Form], max_bytes: int, takes_json: bool = False) -> Form:
    """Return the checked fields of a request. Raises Refusal for what is wrong with them, all in one line."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if takes_json and kind == "application/json":
            values = _from_json(await request.body())
        elif kind in FORMS:
            values = await _from_form(request, form, max_bytes)
        else:
            more = " or application/json" if takes_json else ""
            raise Refusal("bad_request", f"content type {kind[:60]!r}: send multipart/form-data{more}")
    except ClientDisconnect as error:
        raise Refusal("gone", "the client went away during its upload") from error
    except HTTPException as error:
        raise Refusal("bad_request", f"the form cannot be read: {error.detail}") from error
    except UnicodeError as error:
        raise Refusal("bad_request", "the form cannot be read: its charset is unknown") from error
    try:
        return form.model_validate(values)
    except ValidationError as error:
        known = ", ".join(form.model_fields)
        mistakes = "; ".join(_said(each) for each in error.errors(include_url=False, include_input=False)[:8])
        raise Refusal("bad_request", f"{mistakes}. Fields: {known}") from error


def _said(mistake: Any) -> str:
    where = ".".join(map(str, mistake["loc"][:1]))[:40]
    if mistake["type"] == "missing":
        return f"{where}: is missing"
    return f"{where}: unknown field" if mistake["type"] == "extra_forbidden" else f"{where}: {mistake['msg']}"


def _from_json(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal("bad_request", "the body is no JSON") from error
    if not isinstance(values, dict):
        raise Refusal("bad_request", "the body is no JSON object")
    return values


async def _from_form(request: Request, form: type[BaseModel], max_bytes: int) -> dict[str, Any]:
    """Return the parts of a form by name: files as bytes, whatever they are called, and texts but for empty ones."""
    many = {name for name, field in form.model_fields.items() if field.annotation == list[str]}
    values: dict[str, Any] = {}
    async with request.form(max_files=FILES, max_fields=FIELDS, max_part_size=max_bytes) as parts:
        for name, part in parts.multi_items():
            value = await part.read() if isinstance(part, UploadFile) else part
            if name in many:
                values.setdefault(name, []).append(value)
            elif name in values:
                raise Refusal("bad_request", f"{name[:40]}: is sent more than once")
            elif value or isinstance(part, UploadFile):
                values[name] = value
    return values


def body_of(form: type[BaseModel], example: dict[str, Any], *more: str) -> dict[str, Any]:
    """Return the part of an OpenAPI operation that describes its body. more: media types beside multipart."""
    schema = form.model_json_schema()
    content = {kind: {"schema": schema, "example": example} for kind in ("multipart/form-data", *more)}
    return {"requestBody": {"required": True, "content": content}}
