"""Answers to refusals: JSON of deepmat's shape, and of the shape that clients of remove.bg know."""

from typing import Any

from starlette.responses import JSONResponse

from deepmat.serve.refusals import STATUS, Refusal

PATH = "/v1.0/"
"""What the paths of remove.bg's API begin with."""
SHAPES = {
    "no_key": (403, "auth_failed", "API Key invalid"),
    "too_large": (400, "file_too_large", "File too large"),
    "no_picture": (400, "invalid_file_type", "File type not supported"),
    "no_subject": (400, "unknown_foreground", "Could not identify foreground in image"),
    "unusable": (400, "failed_to_read_image", "Image cannot be used"),
    "bad_request": (400, "invalid_parameters", "Invalid parameters"),
    "busy": (429, "rate_limit_exceeded", "Rate limit exceeded"),
}
"""Status, code and title there of codes of STATUS; others keep their own."""


EXAMPLE = {"errors": [{"title": "File type not supported", "code": "invalid_file_type", "detail": "image: not a ..."}]}


def documented() -> dict[int | str, dict[str, Any]]:
    """Return the part of an OpenAPI operation of remove.bg's API that describes refusals."""
    codes: dict[int, list[str]] = {}
    for code, status in STATUS.items():
        known = SHAPES.get(code)
        codes.setdefault(known[0] if known else status, []).append(known[1] if known else code)
    content = {"application/json": {"example": EXAMPLE}}
    return {
        status: {"description": ", ".join(dict.fromkeys(each)), "content": content} for status, each in codes.items()
    }


def answer(refusal: Refusal, path: str) -> JSONResponse:
    """Return the answer to a refused request to a path."""
    if not path.startswith(PATH):
        return JSONResponse(refusal.body(), refusal.status, refusal.headers)
    known = SHAPES.get(refusal.code)
    status, code, title = known or (STATUS[refusal.code], refusal.code, refusal.code.replace("_", " ").capitalize())
    return JSONResponse({"errors": [{"title": title, "code": code, "detail": refusal.detail}]}, status, refusal.headers)
