import importlib.util

import pytest
from serving import encoded, studio

NEEDED = ("fastapi", "uvicorn", "python_multipart")
collect_ignore_glob = ["test_*.py"] if any(importlib.util.find_spec(name) is None for name in NEEDED) else []


@pytest.fixture
def photo():
    return encoded(studio())


@pytest.fixture
def serving():
    """serving(queue=1, ...) -> a client of a service with those settings; client.service is the service."""
    from starlette.testclient import TestClient

    from deepmat.serve.app import build_app
    from deepmat.serve.service import open_service
    from deepmat.serve.settings import ServeSettings

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
