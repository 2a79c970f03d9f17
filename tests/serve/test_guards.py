"""Who is let in: keys, other sites, headers for browsers, logs."""

import logging

import pytest
from starlette.datastructures import Headers

from deepmat.errors import ConfigError
from deepmat.serve.guards import check_site, read_keys
from deepmat.serve.refusals import Refusal
from deepmat.serve.running import is_local
from deepmat.serve.settings import ServeSettings


def test_keys(serving, photo, tmp_path):
    file = tmp_path / "keys.txt"
    file.write_text("# of the shop\nsecret-1\n  # and of its app\nsecret-2\n")
    client = serving(api_key_file=file)
    for headers in (
        {},
        {"X-Api-Key": "secret"},
        {"X-Api-Key": "# and of its app"},
        {"Authorization": "Basic secret-1"},
    ):
        response = client.post("/v1/cutout", files={"image": photo}, headers=headers)
        assert response.status_code == 401 and response.json()["error"]["code"] == "no_key"
    for headers in ({"X-Api-Key": "secret-2"}, {"Authorization": "Bearer secret-1"}):
        assert client.post("/v1/cutout", files={"image": photo}, headers=headers).status_code == 200
    assert client.get("/metrics").status_code == 401 and client.get("/v1/pictures/x/photo").status_code == 401
    assert client.get("/").status_code == client.get("/healthz").status_code == 200


def test_files_without_keys(tmp_path):
    (tmp_path / "empty").write_text("\n# nothing\n")
    for name in ("empty", "none"):
        with pytest.raises(ConfigError, match=f"--api-key-file .*{name}"):
            read_keys(tmp_path / name)


def test_pages_of_other_sites_are_refused(serving, photo):
    client = serving(allow_hosts=["Shop.example"])
    others = (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "evil.example:8000", "Origin": "http://evil.example:8000"},
        {"Host": "[::1"},
        {"Host": ""},
    )
    for headers in others:
        assert client.post("/v1/cutout", files={"image": photo}, headers=headers).status_code == 403, headers
    for host in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000", "192.168.0.5", "shop.example", "SHOP.example:80"):
        own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert client.post("/v1/cutout", files={"image": photo}, headers=own).status_code == 200, host
    unnamed = Headers({})  # HTTP/1.0: a check of health, and no browser
    check_site(unnamed, ["localhost"], True)
    with pytest.raises(Refusal):
        check_site(Headers({"Origin": "http://evil.example"}), ["localhost"], True)
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # a link to the page
    assert client.get("/v1/models", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert serving(allow_hosts="shop.example").get("/healthz", headers={"Host": "shop.example"}).status_code == 200


def test_too_many_open_requests_are_refused_in_json(client, photo):
    """The page and what says that the process runs are answered still."""
    client.app.most = 0
    response = client.post("/v1/cutout", files={"image": photo})
    assert (
        response.status_code == 503 and response.json()["error"]["code"] == "busy" and "retry-after" in response.headers
    )
    assert (
        client.post("/v1.0/removebg", files={"image_file": photo}).json()["errors"][0]["code"] == "rate_limit_exceeded"
    )
    assert client.get("/metrics").status_code == 503
    assert client.get("/").status_code == client.get("/healthz").status_code == 200
    client.app.most = 1
    for _ in range(3):
        assert client.get("/v1/models").status_code == 200
    assert client.app.open == 0


def test_head_is_answered_as_get_without_a_body(client, caplog):
    caplog.set_level(logging.INFO)
    for path in ("/", "/healthz", "/readyz", "/v1/models", "/v1/cutout", "/page/none", "/v1/pictures/none/photo"):
        head, get = client.head(path), client.get(path)
        assert head.status_code == get.status_code and head.headers == get.headers and not head.content, path
    assert client.get("/v1/cutout").headers["allow"] == "POST" and "HEAD /healthz 200" in caplog.text


def test_browsers_are_told_to_load_nothing_from_elsewhere(client):
    for path in ("/", "/v1/models", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff" and "frame-ancestors 'none'" in policy


def test_logs_tell_nothing_of_a_picture(client, photo, caplog):
    caplog.set_level(logging.DEBUG)
    name = client.post("/v1/pictures", files={"image": ("secret-name.png", photo)}).json()["id"]
    client.get(f"/v1/pictures/{name}/photo?secret-query")
    own = "\n".join(record.getMessage() for record in caplog.records if record.name == "deepmat.serve")
    assert "POST /v1/pictures 200" in own and "secret" not in own and name not in own
    assert "/v1/pictures/{name}/{what} 200" in own


def test_no_path_of_a_request_is_opened(client):
    for path in (
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page//etc/passwd",
        "/page/%00",
        "/v1/pictures/..%2f..%2fx/photo",
    ):
        assert client.get(path).status_code == 404, path


def test_addresses_of_this_machine_alone():
    assert is_local("127.0.0.1") and is_local("::1") and is_local("localhost")
    assert not is_local("0.0.0.0") and not is_local("::") and not is_local("example.org")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("workers", (0, -1)),
        ("queue", (-1,)),
        ("max_megapixels", (0, -1)),
        ("max_upload", (0, -1)),
        ("port", (-1, 65536)),
        ("timeout", (0, -1, float("nan"), float("inf"))),
    ],
)
def test_settings_that_cannot_be(name, wrong):
    for value in wrong:
        with pytest.raises(ConfigError, match=f"^--{name.replace('_', '-')} {value}: give "):
            ServeSettings(**{name: value})
