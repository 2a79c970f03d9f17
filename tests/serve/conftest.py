import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")

from starlette.testclient import TestClient  # noqa: E402

from deepmat.serve.app import build_app  # noqa: E402
from deepmat.serve.service import open_service  # noqa: E402
from deepmat.serve.settings import ServeSettings  # noqa: E402


def encoded(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def studio(height=80, width=120, left=30):
    """A red block before a plain backdrop."""
    pixels = np.full((height, width, 3), (230, 230, 232), np.uint8)
    pixels[20:60, left : left + 60] = (200, 30, 40)
    return pixels


@pytest.fixture
def photo():
    return encoded(studio())


@pytest.fixture
def serving():
    """serving(queue=1, ...) -> a client of a service with those settings; client.service is the service."""
    clients = []

    def start(**settings):
        given = {"weights": "closed-form", "finder": "plain", "device": "cpu", **settings}
        service = open_service(ServeSettings(**given))
        client = TestClient(build_app(service), base_url="http://localhost", raise_server_exceptions=False)
        client.service = service
        clients.append(client.__enter__())
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)
        client.service.workers.close()


@pytest.fixture
def client(serving):
    return serving()
