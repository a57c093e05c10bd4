"""A broker of RabbitMQ, started by the tests where it is installed, on ports and in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pika
import pika.exceptions

from console.local.places import is_free
from tests.support.network.ports import own_port

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The program of Debian's package; the one in the path changes the user and the environment."""
IS_HERE = SERVER.exists() and shutil.which("epmd") is not None
MISSING = "RabbitMQ is not installed: apt-get install rabbitmq-server"


class RabbitMQ:
    """A broker that can be stopped and started again; its queues survive if they are durable."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "plugins").write_text("[].\n")
        (folder / "conf").write_text("")
        self.port, mapper = own_port(), str(own_port())
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),  # holds the cookie by which Erlang's nodes know each other
            "ERL_EPMD_PORT": mapper,
            "RABBITMQ_NODENAME": f"labelloop{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(own_port()),
            "RABBITMQ_MNESIA_BASE": str(folder),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "conf"),
        }
        # Started here, because the server would leave one of its own running.
        self._mapper = subprocess.Popen(["epmd", "-port", mapper], env=self._env)
        while is_free(int(mapper)):
            time.sleep(0.05)
        self.start()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    def start(self) -> None:
        with (self._folder / "output.log").open("ab") as log:
            self._server = subprocess.Popen([SERVER], env=self._env, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + 120  # a busy machine takes 30
        while True:
            try:
                self.connect().close()
                return
            except pika.exceptions.AMQPError:
                assert time.monotonic() < until, (self._folder / "output.log").read_text()[-2_000:]
                time.sleep(0.1)

    def stop(self) -> None:
        os.killpg(self._server.pid, signal.SIGTERM)
        self._server.wait(30)

    def end(self) -> None:
        self.stop()
        self._mapper.kill()
        self._mapper.wait()

    def connect(self) -> Any:
        return pika.BlockingConnection(pika.URLParameters(self.url))

    def send(self, queue: str, bodies: Iterable[bytes], **properties: Any) -> None:
        """Send the bodies to a durable queue, and wait until the broker has them."""
        connection = self.connect()
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        channel.tx_select()
        for body in bodies:
            channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2, **properties))
        channel.tx_commit()
        connection.close()

    def left(self, queue: str) -> int:
        """Return the number of messages that are ready in the queue; 0 without a queue."""
        connection = self.connect()
        try:
            return int(connection.channel().queue_declare(queue, passive=True).method.message_count)
        except pika.exceptions.ChannelClosedByBroker:
            return 0
        finally:
            connection.close()

    def read(self, queue: str) -> list[tuple[Any, bytes]]:
        """Take all messages out of the queue; return the properties and the body of each."""
        connection = self.connect()
        channel, found = connection.channel(), []
        while (came := channel.basic_get(queue, auto_ack=True))[0] is not None:
            found.append((came[1], came[2]))
        connection.close()
        return found
