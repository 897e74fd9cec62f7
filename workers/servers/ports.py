"""Ports: a free one is found, and a taken one is explained."""

import atexit
import socket
import sys
from collections import deque
from contextlib import suppress

import psutil

LOOPBACK = "127.0.0.1"
KEPT = 64
"""Found ports that a process keeps: many more than an engine has servers."""
_kept: deque[socket.socket] = deque()


class PortInUse(RuntimeError):
    """Another process serves on the port that we were told to use; the message says which setting changes it."""

    def __init__(self, port: int, variable: str) -> None:
        holder = _holder(port)
        super().__init__(
            f"Port {port} is in use{f' by {holder}' if holder else ''}. "
            f"Stop it, or choose another port with {variable} (0 takes any free one)."
        )
        self.port = port
        self.variable = variable


def claim(port: int, variable: str, host: str = LOOPBACK) -> int:
    """The port to serve on: the wanted one if it is free, any free one for 0.

    On Linux a port that was found for 0 is kept until the server has it, and for its restarts: nobody else is given it,
    neither for a server nor for an outgoing connection. The last `KEPT` of a process are.

    Raises:
        PortInUse: somebody listens there already.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            if port == 0:
                return _any_free(probe, host)
            # As servers do: a port that only lingers in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            raise PortInUse(port, variable) from None
    return port


def _any_free(probe: socket.socket, host: str) -> int:
    probe.bind((host, 0))
    if sys.platform == "linux":
        # Said only now, it lets a server that says the same listen beside us, and gives the port to nobody unasked.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _kept.append(probe.dup())
        if len(_kept) > KEPT:
            _kept.popleft().close()
    return int(probe.getsockname()[1])


@atexit.register
def _let_go() -> None:
    while _kept:
        _kept.popleft().close()


def _holder(port: int) -> str | None:
    """The listening process, as far as this user may see it."""
    with suppress(psutil.Error, PermissionError):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None
