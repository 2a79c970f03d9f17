"""Connections: what uvicorn does, with an end to waiting for the headers of a request."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class PatientProtocol(H11Protocol):
    """A connection whose requests have to begin in time: their headers arrive within `patience` seconds.

    uvicorn itself ends connections that are silent between two requests, and waits for headers without an end.
    """

    patience: float
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        super().connection_lost(exc)
        self._watch()

    def handle_events(self) -> None:
        """Take what has arrived, of the next request too."""
        super().handle_events()
        self._watch()

    def _watch(self) -> None:
        """Start the clock where a request is awaited, and stop it where its headers are there."""
        awaited = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        if awaited and self._late is None:
            self._late = self.loop.call_later(self.patience, self._give_up)
        elif not awaited and self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            if self.conn.trailing_data[0]:
                self.transport.write(LATE)
            self.transport.close()


def patient(seconds: float) -> type[H11Protocol]:
    """Return the protocol with that patience, as uvicorn takes it."""

    class Patient(PatientProtocol):
        patience = seconds

    return Patient
