"""One real Apache Kafka (KRaft, broker and controller in one process), ours to kill: its log outlives each kill.

Nothing here knows pytest: the fault harness starts the same broker.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.servers.ports import claim

MISSING = "no Apache Kafka on this machine: `make kafka` fetches it, and needs Java 17 and Maven for that"
JAVA_OPTIONS = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""Small, and quick to come up: a test's broker lives for seconds."""
READY_WITHIN_S = 60.0


def command(*arguments: str) -> list[str]:
    """Java with the broker's jars: what to run, and how much it says."""
    says = "-Dorg.slf4j.simpleLogger"
    loud = (f"{says}.showDateTime=true", f"{says}.defaultLogLevel=warn", f"{says}.log.kafka.log.LogManager=info")
    return ["java", *JAVA_OPTIONS, *loud, "-cp", f"{jars()}/*", *arguments]


class KafkaUnusable(RuntimeError):
    """The broker is not installed, or did not come up; the message has the end of its log."""


def jars(environ: Mapping[str, str] = os.environ) -> Path:
    """Where `make kafka` puts the program, or where `APACHE_KAFKA` says that it is."""
    return Path(environ.get("APACHE_KAFKA") or Path(sys.prefix) / "apache-kafka")


def installed(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether it can be started here."""
    return bool(shutil.which("java", path=environ.get("PATH"))) and any(jars(environ).glob("kafka-server-*.jar"))


class ApacheKafka:
    """A broker on a folder of its own. `start` after `kill` goes on with the same log.

    Args:
        folder: Keeps the log, the configuration and what the broker said; made when it is not there.
        advertised: (host, port) that clients are sent to, where a proxy stands before the broker. Default: the broker.
        overrides: Settings of `server.properties` that win over ours.
    """

    def __init__(
        self, folder: Path, *, advertised: tuple[str, int] | None = None, overrides: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.port, self._controller_port = claim(0, "KAFKA_PORT"), claim(0, "KAFKA_PORT")
        self.bootstrap = f"127.0.0.1:{self.port}"
        """Where the broker itself listens."""
        self.log_file = folder / "broker.log"
        self._advertised = advertised or ("127.0.0.1", self.port)
        self._overrides = dict(overrides or {})
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The running broker, if one runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def start(self) -> None:
        """Start it and return once it serves; on a folder that has a log, it recovers that log.

        Raises:
            KafkaUnusable: it is not installed, or did not come up.
        """
        if self.pid is not None:
            return
        if not installed():
            raise KafkaUnusable(MISSING)
        self.prepare()
        self._child = self._java(*self.arguments)
        deadline = time.monotonic() + READY_WITHIN_S
        while not self.answers():
            if self._child.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise KafkaUnusable(f"Apache Kafka did not come up:\n{self._last_words()}")
            time.sleep(0.05)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The program and its configuration."""
        return "kafka.Kafka", str(self.folder / "server.properties")

    def prepare(self) -> None:
        """Write its configuration, and format its folder where that has no log yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self._write_properties()
        if not (self.folder / "log" / "meta.properties").exists():
            # Not a dash in front: an id that begins so would be read as an option.
            cluster = "q" + urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()[1:]
            self._java("kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(properties)).wait()

    def kill(self) -> None:
        """End it as a power cut would end the process, and wait until it is gone; twice is harmless."""
        self._end(signal.SIGKILL, 10)

    def stop(self) -> None:
        """End it in order, by force where it takes too long; twice is harmless."""
        self._end(signal.SIGTERM, 20)

    def freeze(self) -> None:
        """Let it stand still (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def _end(self, how: signal.Signals, within_s: float) -> None:
        if self._child is None:
            return
        self._signal(how)
        if how is not signal.SIGKILL:
            self._signal(signal.SIGCONT)
        try:
            self._child.wait(within_s)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._child.wait()
        self._child = None

    def _signal(self, what: signal.Signals) -> None:
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, what)

    def _java(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as said:
            return subprocess.Popen(
                command(*arguments), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                start_new_session=True,
            )  # fmt: skip

    def answers(self) -> bool:
        """Whether it takes connections: a KRaft broker opens its port only once it has caught up with its log."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
                return True
        except OSError:
            return False

    def _last_words(self) -> str:
        return self.log_file.read_text(errors="replace")[-2_000:] if self.log_file.exists() else "(it said nothing)"

    def _write_properties(self) -> Path:
        host, port = self._advertised
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{host}:{port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "log"),
            "num.partitions": "3",
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # A group settles at once, and a dead member is missed soon: tests have no patience of real life.
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "500",
            "group.consumer.min.session.timeout.ms": "500",
            "group.consumer.session.timeout.ms": "1500",
            "group.consumer.min.heartbeat.interval.ms": "100",
            "group.consumer.heartbeat.interval.ms": "300",
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "300",
            "controlled.shutdown.enable": "false",
            **self._overrides,
        }
        path = self.folder / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return path
