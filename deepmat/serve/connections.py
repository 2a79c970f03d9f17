"""Connections: what uvicorn does, with an end to waiting for the headers of a request, and to idle connections."""

import asyncio
from operator import itemgetter
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

GRACE = 0.1
"""Share of the patience for which a connection may be idle however many there are: its request may be on its way."""
LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class PatientProtocol(H11Protocol):
    """A connection whose requests have to begin in time: their headers arrive within `patience` seconds.

    uvicorn itself ends connections that are silent between two requests, and waits for headers without an end. Of more
    than `most` connections those that have been idle longest are closed. uvicorn's own limit counts idle connections as
    requests, and refuses everybody. A client that takes in nothing of its answer for `patience` seconds loses it.
    """

    patience: float
    most: int
    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._watch()
        self._close_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        super().connection_lost(exc)
        self._watch()
        self._stop_waiting()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        super().resume_writing()
        self._stop_waiting()

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
        self._watch()

    def _await_reading(self) -> None:
        """Look again after `patience` whether the client has taken in any of what waits for it."""
        self._unread = self.loop.call_later(self.patience, self._abandon, self.transport.get_write_buffer_size())

    def _abandon(self, before: int) -> None:
        if self.transport.get_write_buffer_size() >= before:
            self.transport.abort()  # close() would wait until all is read
        else:
            self._await_reading()

    def _stop_waiting(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _close_idle(self) -> None:
        over = len(self.connections) - self.most
        if over <= 0:
            return
        young = self.loop.time() + (1 - GRACE) * self.patience
        waiting = [(each._late.when(), each) for each in cast(set[PatientProtocol], self.connections) if each._late]
        for end, each in sorted(waiting, key=itemgetter(0))[:over]:
            if end < young:
                each._give_up()


def patient(seconds: float, connections: int) -> type[H11Protocol]:
    """Return the protocol with that patience, and that many connections at most beside busy ones, for uvicorn."""

    class Patient(PatientProtocol):
        patience, most = seconds, connections

    return Patient
