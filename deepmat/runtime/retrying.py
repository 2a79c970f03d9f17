"""Requests to a storage: which failures are worth another try, and what the others are in one line."""

import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from deepmat.errors import ConfigError, DataError

T = TypeVar("T")

TRIES, PATIENCE = 7, 120.0
"""Most tries of a request, and the seconds after which no other one begins."""
FIRST_WAIT, LONGEST_WAIT = 0.25, 10.0
"""Seconds before the second try, doubled for each further one, and their limit. Between half and all is waited."""
FORGET = 30.0
"""Seconds for which a storage that failed is tried once only: not every picture waits for a server that is gone."""
TRANSIENT = (408, 425, 429)
"""Status codes below 500 that are worth another try."""
TRANSIENT_CODES = ("RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch", "OperationAborted")
"""S3's words for errors of 400 and 409 that are the connection's, or that pass."""
LIBRARIES = ("aiohttp", "aiobotocore", "botocore", "azure", "gcsfs", "google", "httpcore", "httpx", "requests")
"""Libraries whose errors without a status are those of the network."""

_waits = random.Random()
_gone: dict[str, float] = {}
"""When a storage failed last, by bucket."""


def _status(error: BaseException | None) -> int | None:
    """Return the status code of the answer behind an error, if there was one."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        answer = getattr(error, "response", None)
        if isinstance(answer, dict):  # botocore's
            code = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:  # of httpx and requests; of azure; of aiohttp; of gcsfs. An aiohttp error of a cut answer has a code too
            places = [(answer, "status_code"), (error, "status_code"), (error, "status")]
            places += [(error, "code")] * (type(error).__module__.split(".")[0] == "gcsfs")
            code = next((getattr(each, name) for each, name in places if hasattr(each, name)), None)
        if isinstance(code, int) and 100 <= code < 600:
            return code
        if type(error) is OSError and str(error).startswith("Forbidden: "):  # of gcsfs too
            return 403
        error = error.__cause__ or error.__context__
    return None


def _without_credentials(error: BaseException) -> bool:
    """Return whether an error says that there are no credentials, or that they are of no use."""
    if isinstance(error, ValueError):  # adlfs's
        return any(word in str(error).lower() for word in ("credential", "connection string"))
    return any(word in type(error).__name__.lower() for word in ("credential", "signing"))  # AzureSigningError


def _passes(error: Exception) -> bool:
    """Return whether an error may be gone at the next try."""
    if _code(error) == "NoSuchUpload":  # an answer that was lost ended or aborted the upload; it is made anew
        return True
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)):
        return False
    if _without_credentials(error) or isinstance(error, (ImportError, NotImplementedError)):
        return False
    if status := _status(error):
        return status >= 500 or status in TRANSIENT or _code(error) in TRANSIENT_CODES
    return isinstance(error, (OSError, TimeoutError)) or type(error).__module__.split(".")[0] in LIBRARIES


def _reason(error: Exception) -> str:
    """Return what an error is, in a line without addresses, which may hold signatures."""
    if status := _status(error):
        return f"the storage answers {status}"
    text = re.sub(r"\S*://\S*", "...", " ".join(str(error).split()))[:160]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _code(error: Exception) -> str | None:
    """Return S3's word for an error: "NoSuchBucket"."""
    answer = getattr(error.__cause__, "response", None)
    return answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None


def lacks_bucket(error: Exception) -> bool:
    """Return whether an error says that not the file is missing, but its bucket (Azure: container)."""
    said = str(error).lower()
    return _code(error) == "NoSuchBucket" or ("bucket" in said or "container" in said) and "does not exist" in said


def _bucket(address: object) -> str:
    return "/".join(str(address).split("/")[:3])


def explained(address: object, done: str, error: Exception, tries: int) -> DataError:
    """Return what stands for an error of a request in one line. done: "read", "written" or "listed"."""
    bucket, code = _bucket(address), _code(error)
    if lacks_bucket(error):
        return DataError(f"{address}: there is no bucket {bucket}; check its name")
    if isinstance(error, FileNotFoundError):
        return DataError(f"{address}: no such file; check the address")
    if _without_credentials(error):
        return DataError(
            f"{address}: there are no credentials for {bucket}; give them in the way of the storage's own library "
            "(docs/storage.md)"
        )
    if isinstance(error, PermissionError) or _status(error) in (401, 403):
        said = f" ({code})" if code else ""
        return DataError(f"{address}: may not be {done}{said}; check the credentials and what they allow")
    times = f" in {tries} tries" if tries > 1 else ""
    return DataError(f"{address}: cannot be {done}{times} ({_reason(error)}); check the address, try again later")


def tried(address: object, done: str, request: Callable[[], T]) -> T:
    """Return what a request returns, which is repeated while it fails for reasons that may pass.

    Raises FileNotFoundError as it is, DataError for every other failure.
    """
    begin, bucket = time.monotonic(), _bucket(address)
    tries = 1 if begin - _gone.get(bucket, -FORGET) < FORGET else TRIES
    for attempt in range(1, tries + 1):
        try:
            result = request()
            _gone.pop(bucket, None)
            return result
        except (DataError, ConfigError):
            raise
        except Exception as error:  # libraries have no class in common
            passes = _passes(error)
            if isinstance(error, FileNotFoundError) and not passes:
                raise
            wait = min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT) * _waits.uniform(0.5, 1)
            if not passes or attempt == tries or time.monotonic() + wait - begin > PATIENCE:
                if passes:
                    _gone[bucket] = time.monotonic()
                raise explained(address, done, error, attempt) from error
            time.sleep(wait)
    raise AssertionError  # the last try returns or raises
