"""The command `deepmat serve`."""

from pathlib import Path
from typing import Annotated

import typer

from deepmat.cli.options import Device, Precision, Weights, say


def serve(
    weights: Weights = None,
    finder: Annotated[
        str | None, typer.Option(metavar="NAME|FILE.onnx", help="What finds subjects [chosen by the picture].")
    ] = None,
    workers: Annotated[int, typer.Option(help="Requests that are worked on at the same time.", min=1)] = 1,
    queue: Annotated[int, typer.Option(help="Requests that wait; more are refused (503).", min=0)] = 16,
    max_megapixels: Annotated[int, typer.Option(help="Refuse larger pictures.", min=1)] = 50,
    max_upload: Annotated[int, typer.Option(metavar="MB", help="Refuse larger requests.", min=1)] = 32,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="For a request to arrive, and for its answer then.")
    ] = 60,
    api_key_file: Annotated[
        Path | None, typer.Option(help="Keys, one a line; requests need one of them [none is needed].")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name of this machine, beside localhost and addresses; repeatable."),
    ] = None,
    precision: Precision = "auto",
    device: Device = "auto",
) -> None:
    """Serve a page to cut pictures out by hand, and the same over HTTP.

    The page is at http://127.0.0.1:8000; POST /v1/cutout takes a picture and answers with its cut-out;
    GET /openapi.json describes all. Pictures stay in this process's memory. SIGTERM finishes what runs.
    """
    from deepmat.serve.running import run_service
    from deepmat.serve.settings import ServeSettings

    settings = ServeSettings(
        weights=weights,
        finder=finder,
        device=device,
        precision=precision,
        workers=workers,
        queue=queue,
        max_megapixels=max_megapixels,
        max_upload=max_upload,
        timeout=timeout,
        api_key_file=api_key_file,
        host=host,
        port=port,
        allow_hosts=allow_host or (),
    )
    run_service(settings, say)
