"""The application: routes of the service, its description, its page."""

from typing import Any
from urllib.parse import quote

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from deepmat import __version__
from deepmat.errors import DeepmatError, as_texts
from deepmat.inference.outputs import OUTPUTS
from deepmat.runtime.records import to_json
from deepmat.serve import editing, page_files, removebg
from deepmat.serve.answers import answer
from deepmat.serve.forms import CutoutForm, body_of, read_form
from deepmat.serve.guards import FORM, Guards
from deepmat.serve.making import MEDIA, encode, matte, read_image, subject_in
from deepmat.serve.refusals import STATUS, Refusal, refusal_of
from deepmat.serve.service import Service
from deepmat.serve.workers import Stop

ABOUT = """Cuts the subjects of pictures out, with soft edges. Send a picture alone, or with a trimap, a mask, a box or
points. Errors are JSON: {"error": {"code": "...", "detail": "one line"}}. Where the service has keys, send one as
X-Api-Key or as a bearer token."""
EXAMPLE = {"image": "@photo.jpg", "box": "120,80,900,1300", "output": "cutout", "format": "png"}
PICTURE = {"schema": {"type": "string", "format": "binary"}}
ERROR = {"application/json": {"example": {"error": {"code": "no_subject", "detail": "image: no finder finds ..."}}}}


def build_app(service: Service) -> Guards:
    """Return the application of a service, inside its guards."""
    settings = service.settings
    # Uploads stay in memory: nothing of a picture is left on the disk, whatever ends the process.
    MultiPartParser.spool_max_size = settings.max_bytes + FORM + 1
    app = FastAPI(title="deepmat", version=__version__, description=ABOUT, docs_url=None, redoc_url=None)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(DeepmatError, _refused)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _failed)
    _add_cutout(app, service)
    _add_state(app, service)
    removebg.add_routes(app, service)
    editing.add_routes(app, service)
    page_files.add_routes(app)
    return Guards(
        app,
        keys=service.keys,
        names=as_texts(settings.allow_hosts, "allow_hosts"),
        max_bytes=settings.max_bytes,
        timeout=settings.timeout,
        workers=service.workers,
        metrics=service.metrics,
    )


async def _refused(request: Request, error: Exception) -> Response:
    return answer(refusal_of(error), request.url.path)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "not_found" if error.status_code == 404 else "bad_request"
    response = answer(Refusal(code, f"{error.detail}; GET /openapi.json describes what there is"), request.url.path)
    response.status_code = error.status_code
    response.headers.update(error.headers or {})
    return response


async def _failed(request: Request, error: Exception) -> Response:
    return answer(Refusal("failed", "the service failed at this request; its log says more"), request.url.path)


def described(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the part of an OpenAPI operation that describes a picture as answer, and refusals."""
    said: dict[int | str, list[str]] = {}
    for code in codes:
        said.setdefault(STATUS[code], []).append(code)
    refusals = {status: {"description": ", ".join(each), "content": ERROR} for status, each in said.items()}
    pictures = dict.fromkeys(MEDIA.values(), PICTURE)
    return {200: {"description": "The picture that was asked for", "content": pictures}, **refusals}


def _add_cutout(app: FastAPI, service: Service) -> None:
    codes = [code for code in STATUS if code not in ("gone", "not_found")]

    @app.post(
        "/v1/cutout",
        summary="Cut the subject out of a picture",
        response_class=Response,
        responses=described(*codes),
        openapi_extra=body_of(CutoutForm, EXAMPLE),
    )
    async def cutout(request: Request) -> Response:
        """Answers with the picture. X-Finder says what found the subject, X-Notices, a JSON list, what is doubtful."""
        form = await read_form(request, CutoutForm, service.settings.max_bytes)
        limit = service.maker.max_pixels
        wanted = form.wanted(limit)
        prompts = form.prompts()

        def work(stop: Stop) -> Response:
            stop.check()
            read = read_image(form.image, limit)
            subject = subject_in(service.maker, read, form.trimap, form.mask, prompts)
            cut, notices = matte(service.maker, read, subject, stop)
            data, (height, width) = encode(cut, wanted)
            headers = {
                "X-Width": str(width),
                "X-Height": str(height),
                "X-Finder": quote(subject.finder or "trimap", safe=" /"),  # a file's name may be in any script
                "X-Notices": to_json(notices[:20]),
            }
            return Response(data, media_type=MEDIA[wanted.suffix], headers=headers)

        return await service.do(request, work)


def _add_state(app: FastAPI, service: Service) -> None:
    settings, workers = service.settings, service.workers

    @app.get("/v1/models", summary="The network, the finder, the kinds of output and the limits")
    async def models() -> dict[str, Any]:
        outputs = {
            kind: {"formats": [each[1:] for each in made.suffixes], "about": made.help}
            for kind, made in OUTPUTS.items()
        }
        return {
            "version": __version__,
            "networks": [{"name": service.network.path.stem, "precision": service.network.precision}],
            "finder": service.maker.finder_name,
            "outputs": outputs,
            "limits": {
                "megapixels": settings.max_megapixels,
                "megabytes": settings.max_upload,
                "seconds": settings.timeout,
                "workers": settings.workers,
                "queue": settings.queue,
            },
        }

    @app.get("/healthz", summary="Whether the process runs")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether requests are taken", responses={503: {"description": "stopping or full"}})
    async def readyz() -> Response:
        try:
            workers.check()
        except Refusal as refusal:
            return JSONResponse({"status": refusal.code}, refusal.status, refusal.headers)
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", summary="Counters in Prometheus' text format", response_class=PlainTextResponse)
    async def metrics() -> Response:
        gauges = {
            "deepmat_queue_length": (workers.waiting, "Requests that wait for a worker"),
            "deepmat_running": (len(workers.jobs) - workers.waiting, "Requests that are worked on"),
            "deepmat_pictures_held": (len(service.pictures.held), "Pictures of the page that are kept in memory"),
            "deepmat_pictures_held_bytes": (service.pictures.bytes(), "Memory of these"),
        }
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(service.metrics.text(gauges), headers={"Content-Type": kind})
