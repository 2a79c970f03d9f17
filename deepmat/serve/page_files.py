"""The files of the page, read once: no path of a request is opened."""

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response

PAGE = Path(__file__).with_name("page")
MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def add_routes(app: FastAPI) -> None:
    """Add a route for each file of the page; index.html is that of /."""
    for file in sorted(PAGE.iterdir()):
        if file.suffix in MEDIA:
            _add(app, "/" if file.name == "index.html" else f"/page/{file.name}", file.read_bytes(), MEDIA[file.suffix])


def _add(app: FastAPI, path: str, data: bytes, kind: str) -> None:
    @app.get(path, include_in_schema=False)
    async def file() -> Response:
        return Response(data, headers={"Content-Type": kind, "Cache-Control": "no-cache"})
