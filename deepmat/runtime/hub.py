"""Models of the hub (huggingface.co) by huggingface_hub: its cache, token and offline mode; downloads that go on."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from filelock import FileLock

from deepmat.errors import CheckpointError, ConfigError
from deepmat.runtime.fetching import OFFLINE, Remote, holds, is_offline

ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
FILES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar", ".onnx", ".yaml", ".json")
"""Suffixes of files, which no id has."""
CACHED = "models--"
"""The beginning of a model's folder in the hub's cache."""
LARGE = (".safetensors", ".bin")
"""Suffixes of files whose download a later command takes up again."""
SHA256 = re.compile(r"[0-9a-f]{64}")


def is_id(name: str) -> bool:
    """Return whether a name that is no file or folder can be a model's id, USER/NAME."""
    return bool(ID.fullmatch(name)) and not name.endswith(FILES)


def id_of(path: Path) -> str | None:
    """Return the id of the model whose file this is in the hub's cache; None for any other file."""
    folder = path.parent.parent.parent.name
    if path.parent.parent.name != "snapshots" or not folder.startswith(CACHED):
        return None
    return folder.removeprefix(CACHED).replace("--", "/")


def hub(what: str) -> ModuleType:
    """Return huggingface_hub. Raises ConfigError, which says what needs it, where it is missing."""
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.file_download
        import huggingface_hub.utils
    except ImportError as error:
        raise ConfigError(f"{what} needs huggingface_hub: pip install 'deepmat[hub]'") from error
    huggingface_hub.utils.logging.set_verbosity_error()  # errors are raised, not printed too
    return huggingface_hub


def fetch(model: str, name: str, commit: str | None = None) -> Path | None:
    """Return a file of a model, in the hub's cache, where it is fetched to; None if the model has no such file.

    commit: the revision; None is the one in the cache, else the newest. What is in the cache is used without asking
    the hub. HF_HUB_OFFLINE and DEEPMAT_OFFLINE forbid fetching. Raises CheckpointError, in one line: no such model,
    gated, no network, cut off.
    """
    library = hub(f"{model}: no such file or folder; a model of the hub")
    with _explained(model, library):
        cached = library.try_to_load_from_cache(model, name, revision=commit)
        if cached is not None:
            return Path(cached) if isinstance(cached, str) else None  # an object says that there is none
        local = _forbidden_by(library) is not None
        if name.endswith(LARGE) and not local:
            _complete(library, model, name, commit)
        try:
            return Path(library.hf_hub_download(model, name, revision=commit, local_files_only=local))
        except library.errors.RemoteEntryNotFoundError:
            return None


def _complete(library: ModuleType, model: str, name: str, commit: str | None) -> None:
    """Fetch a file's content into the hub's cache, from the byte where an earlier command stopped.

    huggingface_hub itself begins anew in each process. Its cache has a published layout
    (huggingface.co/docs/hub/local-cache): contents lie in `blobs`, large ones by their SHA-256, and hf_hub_download
    links to what it finds there. What cannot be fetched so is left to it, errors too.
    """
    url = library.hf_hub_url(model, name, revision=commit)
    try:
        about = library.get_hf_file_metadata(url)
    except Exception:  # of the network's libraries, which have no base class in common
        return
    if not SHA256.fullmatch(about.etag or ""):
        return
    cache, folder = Path(library.constants.HF_HUB_CACHE), CACHED + model.replace("/", "--")
    blob, lock = cache / folder / "blobs" / about.etag, cache / ".locks" / folder / f"{about.etag}.lock"
    for place in (blob, lock):
        place.parent.mkdir(parents=True, exist_ok=True)
    part = blob.with_name(f"{about.etag}.deepmat.incomplete")
    with FileLock(lock):  # huggingface_hub's own
        if blob.exists():
            return
        with open(part, "ab") as file:
            library.file_download.http_get(
                url,
                file,
                resume_size=file.tell(),
                headers=library.utils.build_hf_headers(),
                expected_size=about.size,
                displayed_filename=name,
            )
        # Some file systems take every lock for free: two processes may have written.
        if not holds(part, Remote(url, about.etag, part.stat().st_size)):
            part.unlink()
            raise OSError("its SHA-256 is not the hub's")
        os.replace(part, blob)


def _forbidden_by(library: ModuleType) -> str | None:
    """Return the environment variable that forbids fetching, if one does."""
    given = {"HF_HUB_OFFLINE": library.constants.HF_HUB_OFFLINE, OFFLINE: is_offline()}
    return next((variable for variable, forbids in given.items() if forbids), None)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextmanager
def _explained(model: str, library: ModuleType) -> Iterator[None]:
    """Turn the errors of huggingface_hub and of the libraries below it into one of CheckpointError."""
    errors, server = library.errors, library.constants.ENDPOINT
    try:
        yield
    except errors.GatedRepoError as error:
        raise CheckpointError(
            f"{model}: is gated; accept its terms on {server}/{model}, then log in: `hf auth login`, or set HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{model}: no such file or folder, and {server} shows no such model; check the spelling, or log in if it "
            "is private (HF_TOKEN)"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise CheckpointError(f"{model}: {_not_cached(library)}") from error
    except errors.HFValidationError as error:
        raise CheckpointError(f"{model}: no such file; check the path") from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "nothing")
        refused = "set HF_TOKEN to one that may read it" if status in (401, 403) else "try again later"
        raise CheckpointError(f"{model}: {server} answers {status}; {refused}") from error
    except Exception as error:  # of the network's and the disk's libraries, which have no base class in common
        raise CheckpointError(f"{model}: the download broke off ({_line(error)}); run the command again") from error


def upload(model: str, files: Mapping[str, bytes], message: str, private: bool = False) -> str:
    """Commit files, by name, to a model of the hub, which is made if need be; return its address.

    private: of a model that is made; one that is there stays as it is. The token is huggingface_hub's: HF_TOKEN, or
    that of `hf auth login`. Raises CheckpointError, in one line: no token, refused, no network, fetching is off.
    """
    library = hub("pushing weights")
    if variable := _forbidden_by(library):
        raise CheckpointError(f"{model}: cannot be pushed offline; unset {variable}")
    if not library.get_token():
        raise CheckpointError(f"{model}: the hub wants a token that may write: `hf auth login`, or set HF_TOKEN")
    server = library.constants.ENDPOINT
    api = library.HfApi(endpoint=server)
    added = [library.CommitOperationAdd(path_in_repo=name, path_or_fileobj=data) for name, data in files.items()]
    try:
        address = str(api.create_repo(model, private=private or None, exist_ok=True))
        api.create_commit(model, added, commit_message=message)
    except library.errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "nothing")
        refused = f"the token may not write to {model.partition('/')[0]}; set HF_TOKEN to one that may"
        how = refused if status in (401, 403, 404) else "try again later"
        raise CheckpointError(f"{model}: not pushed: {server} answers {status}; {how}") from error
    except library.errors.HFValidationError as error:
        raise CheckpointError(f"{model}: no name that the hub takes; give USER/NAME") from error
    except ValueError as error:
        raise CheckpointError(f"{model}: not pushed: {server} refuses the model card ({_line(error)})") from error
    except Exception as error:  # of the network's libraries, which have no base class in common
        raise CheckpointError(
            f"{model}: not pushed: {server} cannot be reached or broke off ({_line(error)}); run the command again"
        ) from error
    return address


def _not_cached(library: ModuleType) -> str:
    place = f"no such file or folder; the hub's cache ({library.constants.HF_HUB_CACHE}) does not hold all of it"
    if variable := _forbidden_by(library):
        return f"{place}, and fetching is off; unset {variable}, or give a folder with config.json and weights"
    server = library.constants.ENDPOINT
    return f"{place}, and {server} cannot be reached; check the network, or give a folder with config.json and weights"


def card(folder: Path) -> dict[str, Any]:
    """Return the metadata of the model card (README.md) in a folder: "license", "datasets" ...; {} without one."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
        parts = re.split(r"^---[ \t]*$", text, maxsplit=2, flags=re.MULTILINE)
        metadata = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return metadata if isinstance(metadata, dict) else {}
