# SPDX-License-Identifier: GPL-3.0-or-later
"""Add a round trip on the way to a server: delay_proxy.py HOST PORT MILLISECONDS; prints the port that it listens on.

Half of the round trip is added in each direction, and a whole one before a new connection can be used, as on a real
network. One thread and as few system calls as can be: what it costs is taken from what is measured.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import deque
from contextlib import suppress

_READ_BYTES = 256 * 1024
_ENDING = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


class End:
    """One end of a connection that is passed on: its socket, and what is still to be written to it."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection
        self.pending: deque[memoryview] = deque()
        self.is_last = False
        self.is_shut = False

    def read(self, *, is_ending: bool) -> list[bytes]:
        """All that is there to be read; last of all an empty part when nothing more will come.

        A part that is not full is the last one for now: what comes later, the end too, is another event.
        """
        parts: list[bytes] = []
        while True:
            try:
                part = self.connection.recv(_READ_BYTES)
            except BlockingIOError:
                return parts
            except OSError:
                part = b""
            parts.append(part)
            if not part or (len(part) < _READ_BYTES and not is_ending):
                return parts

    def write(self) -> None:
        """Send what is pending, as far as there is room."""
        while self.pending:
            try:
                sent = self.connection.send(self.pending[0])
            except BlockingIOError:
                return
            except OSError:
                self.pending.clear()
                self.is_last = True
                break
            if sent < len(self.pending[0]):
                self.pending[0] = self.pending[0][sent:]
            else:
                self.pending.popleft()
        if self.is_last and not self.is_shut:
            self.is_shut = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_WR)


class Proxy:
    """All connections. What waits for its time stands in queues, since everything in one waits equally long."""

    def __init__(self, server: tuple[str, int], rtt_seconds: float) -> None:
        self.server, self.rtt_seconds = server, rtt_seconds
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        self.others: dict[int, tuple[End, End]] = {}
        self.opening: deque[tuple[float, socket.socket]] = deque()
        self.sending: deque[tuple[float, End, End, bytes]] = deque()

    def run(self) -> None:
        while True:
            for number, event in self.poll.poll(self._until_next()):
                if number == self.listener.fileno():
                    self.opening.append((time.monotonic() + self.rtt_seconds, self.listener.accept()[0]))
                elif number in self.others:
                    self._pass_on(*self.others[number], event)
            now = time.monotonic()
            while self.opening and self.opening[0][0] <= now:
                self._open(self.opening.popleft()[1])
            while self.sending and self.sending[0][0] <= now:
                self._send(*self.sending.popleft()[1:])

    def _until_next(self) -> float:
        """Seconds; negative when there is nothing to wait for but events."""
        times = [queue[0][0] for queue in (self.opening, self.sending) if queue]
        return max(0.0, min(times) - time.monotonic()) if times else -1.0

    def _open(self, client: socket.socket) -> None:
        ends = End(client), End(socket.create_connection(self.server))
        for end, other in (ends, ends[::-1]):
            self.others[end.connection.fileno()] = (end, other)
            self.poll.register(end.connection, _EVENTS)

    def _pass_on(self, end: End, other: End, event: int) -> None:
        if event & select.EPOLLOUT:
            end.write()
        if event & ~select.EPOLLOUT:
            due = time.monotonic() + self.rtt_seconds / 2
            self.sending.extend((due, other, end, part) for part in end.read(is_ending=bool(event & _ENDING)))

    def _send(self, end: End, other: End, part: bytes) -> None:
        """Write what was read at ``other`` a while ago; close both when both have nothing more to say."""
        if part:
            end.pending.append(memoryview(part))
        else:
            end.is_last = True
        end.write()
        if end.is_shut and other.is_shut:
            for each in (end, other):
                if each.connection.fileno() in self.others:
                    del self.others[each.connection.fileno()]
                    each.connection.close()


def main() -> None:
    host, port, milliseconds = sys.argv[1:]
    proxy = Proxy((host, int(port)), float(milliseconds) / 1000)
    print(proxy.listener.getsockname()[1], flush=True)
    proxy.run()


if __name__ == "__main__":
    main()
