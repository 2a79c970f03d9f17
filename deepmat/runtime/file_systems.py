"""The file systems of fsspec that addresses lie in: which library has them, and how it is set up here."""

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from deepmat.errors import ConfigError
from deepmat.runtime.retrying import explained

if TYPE_CHECKING:
    from deepmat.runtime.storage import Address

EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "azure"),
    "hf": "hub",
}
"""Extras of deepmat by scheme. In all of these an upload is visible when it is complete, not before."""
SILENT = logging.NullHandler()
LOGGING = ("adlfs", "fsspec", "gcsfs", "s3fs")
"""Libraries that would print errors, and what was sent with them, unless the caller asks for their logs."""


def file_system(address: "Address") -> Any:
    """Return fsspec's file system of an address. Raises ConfigError for a missing library or an unknown scheme."""
    scheme = address.scheme
    extra = EXTRAS.get(scheme)
    how = f"pip install 'deepmat[{extra}]'" if extra else "see fsspec's documentation"
    try:
        import fsspec
    except ImportError as error:
        raise ConfigError(f"{address}: needs fsspec; {how if extra else 'pip install fsspec'}") from error
    options: dict[str, Any] = {"use_listings_cache": False}
    if extra == "s3":  # requests are repeated here alone, so that their number and time have a limit
        options["config_kwargs"] = {
            **fsspec.config.conf.get("s3", {}).get("config_kwargs", {}),
            "retries": {"mode": "standard", "total_max_attempts": 1},
        }
    try:
        system = fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise ConfigError(f"{address}: needs a library that is not installed; {how}") from error
    except Exception as error:  # libraries have no class in common
        if isinstance(error, ValueError) and "rotocol not known" in str(error):
            raise ConfigError(f"{address}: {scheme}:// is no scheme that fsspec knows; check the address") from error
        raise explained(address, "reached", error, 1) from error
    for library in LOGGING:
        logging.getLogger(library).addHandler(SILENT)  # once: it is the same each time
    _without_tries(system, extra)
    return system


def _without_tries(system: Any, extra: str | None) -> None:
    """Let a library make each request once: its own tries would take up to a minute for each of ours.

    gcsfs keeps those of `download`.
    """
    if extra == "s3":
        system.retries = 1
    elif extra == "azure":
        system.service_client._config.retry_policy.total_retries = 0
    elif extra == "gcs":
        request = type(system)._request
        system._request = partial(getattr(request, "__wrapped__", request), system)
