"""What systemd is told of a daemon that it has started: that it is ready, alive, and about to end.

The protocol is that of sd_notify(3): a datagram to the socket that an environment variable names.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class ServiceManager:
    """Whoever started this process and wants to know how it is. There may be nobody: then nothing is told.

    `watchdog`: every how many seconds `alive` is expected; None if nobody waits for it.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        limit = environment.get("WATCHDOG_USEC", "")
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog = int(limit) / 2e6 if address and mine and limit.isdecimal() else None

    def ready(self) -> None:
        """The daemon serves."""
        self._tell("READY=1")

    def alive(self) -> None:
        """The event loop still turns."""
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon is about to end."""
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                end.setblocking(False)
                end.sendto(state.encode(), self._address)
        except OSError:  # nobody listens any more: no reason to end
            pass
