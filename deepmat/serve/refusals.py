"""Refusals: requests that are not answered as asked, each with its HTTP status and one line that says why."""

import logging
import re
from typing import Any

from deepmat.errors import ConfigError, DataError, DeepmatError, NoSubject, TooLarge

LOG = logging.getLogger("deepmat.serve")
STATUS = {
    "bad_request": 400,
    "no_key": 401,
    "other_site": 403,
    "not_found": 404,
    "slow_upload": 408,
    "too_large": 413,
    "no_picture": 415,
    "no_subject": 422,
    "unusable": 422,
    "gone": 499,
    "failed": 500,
    "busy": 503,
    "closing": 503,
    "timeout": 504,
}
"""HTTP status by the code of a refusal. 499, of a client that went away, reaches only the log."""
RETRY_AFTER = 2
"""Seconds after which a client that met a full queue may try again."""
FIELDS = {"--not-point": "not_points", "--point": "points", "--box": "box", "--masks": "mask", "--trimaps": "trimap"}
"""Fields of a request by the options of the command line, which messages of deepmat name."""
HERE = {
    "--save sheet shows the mask; ": "",
    "--save sheet shows its mask, ": "",
    " (masks: --width)": "",
    ", --save uncertainty shows where": "",
}
"""What only the command line can do, and what replaces it here."""
REMEDIES = {"trimap": "a trimap", "mask": "a mask", "box": "a box", "point": "points", "not_point": "points beside it"}
"""Fields of a request by the remedies of `errors.NoSubject`; a request chooses no finder."""


class Refusal(Exception):
    """A request that is not answered as asked. code: of STATUS; detail: one line for the client."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail

    @property
    def status(self) -> int:
        """HTTP status."""
        return STATUS[self.code]

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        if self.code == "no_key":
            return {"WWW-Authenticate": "Bearer"}
        return {"Retry-After": str(RETRY_AFTER)} if self.code in ("busy", "closing") else {}

    def body(self) -> dict[str, Any]:
        """Return the answer in JSON."""
        return {"error": {"code": self.code, "detail": self.detail}}


def worded(message: str) -> str:
    """Return a message of deepmat with the names of fields in place of options of the command line, in one line."""
    for said, here in HERE.items():
        message = message.replace(said, here)
    message = re.sub(r"(?<![\w:/])/(?:[^\s/:;,]+/)+", "", message)  # folders of this machine
    message = re.sub(r" \((deepmat |--)[^)]*\)", "", message)  # examples of options
    return " ".join(re.sub(r"--[a-z-]+", lambda option: FIELDS.get(option[0], option[0][2:]), message).split())


def no_subject(error: NoSubject) -> Refusal:
    """Return the refusal of a picture without a subject. What this machine lacks is no business of the client."""
    *most, last = (REMEDIES[each] for each in error.remedies if each in REMEDIES)
    helps = f"{', '.join(most)} or {last}" if most else last
    return Refusal("no_subject", f"{error.name or 'image'}: {error.missing}; give {helps}")


def refusal_of(error: BaseException) -> Refusal:
    """Return the refusal that an error of the work on a request comes to; what is no user's mistake is logged."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, (TooLarge, MemoryError)):
        return Refusal("too_large", worded(str(error)) or "the picture is too large for the memory")
    if isinstance(error, ConfigError):
        return Refusal("bad_request", worded(str(error)))
    if isinstance(error, NoSubject):
        return no_subject(error)
    if isinstance(error, DataError):
        return Refusal("unusable", worded(str(error)))
    LOG.error("a request failed: %s", type(error).__name__, exc_info=None if isinstance(error, DeepmatError) else error)
    return Refusal("failed", "the service failed at this request; its log says more")
