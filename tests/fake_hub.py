"""A hub on the loopback: the requests of huggingface_hub for files, errors, gates and broken connections included."""

import base64
import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "a" * 40


class FakeHub:
    """Models by id, each a folder. `cut`: name of a file -> the byte at which each connection that sends it breaks.

    A model that is made lies in `folder`; `made`: what was asked for.
    """

    def __init__(self, folder):
        self.folder = folder
        self.models, self.gated, self.cut = {}, set(), {}
        self.requests, self.made, self.uploaded = [], [], {}
        self.writers = {"Bearer hf_granted"}
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)
        import huggingface_hub

        huggingface_hub.close_session()  # connections that are kept are still answered

    def fetched(self):
        """Names of the files whose content was asked for."""
        return [path.rpartition("/")[2] for method, path, _ in self.requests if method == "GET" and "/resolve/" in path]


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        self.hub.requests.append((self.command, self.path, self.headers.get("Range")))
        model, resolve, rest = self.path.lstrip("/").partition("/resolve/")
        if not resolve or model not in self.hub.models:
            return self.refuse(401, "RepoNotFound")
        if model in self.hub.gated and self.headers.get("Authorization") != "Bearer hf_granted":
            return self.refuse(403, "GatedRepo")
        path = Path(self.hub.models[model]) / rest.partition("/")[2]
        if not path.is_file():
            return self.refuse(404, "EntryNotFound")
        self.send(path.read_bytes(), path.name)

    def do_POST(self):
        body = self.body()
        self.hub.requests.append((self.command, self.path, None))
        if self.path == "/api/validate-yaml":
            return self.tell({"errors": [], "warnings": []})
        if self.headers.get("Authorization") not in self.hub.writers:
            return self.refuse(403, "Forbidden")
        if self.path == "/api/repos/create":
            return self.tell(self.make(json.loads(body)))
        if self.path.endswith("/info/lfs/objects/batch"):
            return self.tell(
                {"transfer": "basic", "objects": [self.place(each) for each in json.loads(body)["objects"]]}
            )
        model, _, rest = self.path.removeprefix("/api/models/").partition("/preupload/")
        if rest:
            return self.tell({"files": [self.mode(each) for each in json.loads(body)["files"]]})
        model = model.partition("/commit/")[0]
        self.commit(self.hub.models[model], map(json.loads, body.splitlines()))
        address = f"{self.hub.address}/{model}/commit/{COMMIT}"
        return self.tell({"success": True, "commitOid": COMMIT, "commitUrl": address, "pullRequestUrl": None})

    def do_PUT(self):
        data = self.body()
        self.hub.uploaded[hashlib.sha256(data).hexdigest()] = data
        self.tell({})

    def body(self):
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        data = b""  # chunked
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def make(self, asked):
        model = f"{asked['organization']}/{asked['name']}"
        self.hub.made.append((model, asked.get("visibility")))
        folder = self.hub.models.setdefault(model, self.hub.folder / asked["name"])
        Path(folder).mkdir(exist_ok=True)
        return {"url": f"{self.hub.address}/{model}"}

    def place(self, wanted):
        upload = {"href": f"{self.hub.address}/put/{wanted['oid']}", "header": {}}
        return {**wanted, "authenticated": True, "actions": {"upload": upload}}

    def mode(self, asked):
        large = asked["path"].endswith(".safetensors")
        return {"path": asked["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}

    def commit(self, folder, lines):
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                (Path(folder) / value["path"]).write_bytes(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                (Path(folder) / value["path"]).write_bytes(self.hub.uploaded[value["oid"]])

    def tell(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, data, name):
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if begin else 200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.hub.cut.get(name)
        with contextlib.suppress(OSError):
            self.wfile.write(data[begin:cut])
        if cut is not None:
            self.close_connection = True


def use_hub(monkeypatch, folder):
    """A hub that huggingface_hub of this process asks, with an empty cache in a folder and no token. Close it."""
    constants = pytest.importorskip("huggingface_hub.constants")
    made = FakeHub(folder)
    monkeypatch.setattr(constants, "ENDPOINT", made.address)
    template = made.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # a protocol of its own, in native code
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("DEEPMAT_OFFLINE", raising=False)
    return made


TINY = {
    "hidden_size": 16,
    "convstream_hidden_sizes": [4, 6, 8],
    "fusion_hidden_sizes": [12, 8, 6, 4],
    "backbone_config": {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 64,
        "pretrain_image_size": 32,
        "window_size": 3,
        "window_block_indices": [0, 1],
        "residual_block_indices": [2],
        "out_features": ["stage3"],
    },
}
"""What makes ViTMatte small enough for tests: `network` of deepmat.config.VitMatteConfig."""
CARD = "---\nlicense: apache-2.0\ndatasets:\n- composition-1k\n---\n# A model\n"


def tiny_vitmatte(seed=0):
    """transformers' own network of TINY, with random weights whose alpha is neither flat nor saturated."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from deepmat.models.vitmatte import _merged, published

    torch.manual_seed(seed)
    config = transformers.VitMatteConfig.from_dict(_merged(published("small"), TINY))
    model = transformers.VitMatteForImageMatting(config).eval()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.weight.data.uniform_(0.5, 1.5)
            part.running_mean.normal_(0, 0.1)
        elif isinstance(part, (torch.nn.Conv2d, torch.nn.Linear)):
            torch.nn.init.xavier_normal_(part.weight)
        for name in ("rel_pos_h", "rel_pos_w", "position_embeddings"):
            if hasattr(part, name):
                getattr(part, name).data.normal_()
    return model


def save_vitmatte(folder, seed=0, card=CARD, **processor):
    """A folder as transformers saves it, with a model card. Returns transformers' model and processor."""
    model = tiny_vitmatte(seed)
    model.save_pretrained(folder)
    from transformers import VitMatteImageProcessor

    processor = VitMatteImageProcessor(**processor)
    processor.save_pretrained(folder)
    (Path(folder) / "README.md").write_text(card, encoding="utf-8")
    return model, processor


def edit_json(path, **changes):
    """Change values of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
