"""The commands that bring outputs in from queues: consume kafka and consume rabbitmq."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.output import to_stderr
from console.cli.wrappers import Command, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from sync.intake.consuming import Batching, Consuming


@click.group()
def consume() -> None:
    """Store the outputs that arrive in a queue, until SIGTERM. A supervisor should restart it.

    Each message is one output as a JSON object. A message that cannot be stored becomes a dead letter with the reason.
    """


def consumer_options(command: Command) -> Command:
    """Add the options that both consumers share."""
    options: list[Callable[[Command], Command]] = [
        click.option("--loop", help="Loop of all messages. Without it, each message names its loop."),
        click.option(
            "--batch", type=click.IntRange(1, 5_000), default=1_000, show_default=True, help="Messages of a batch."
        ),
        click.option(
            "--wait-ms",
            type=click.IntRange(1, 60_000),
            default=200,
            show_default=True,
            help="Milliseconds that a batch waits for more messages.",
        ),
        click.option("--metrics", metavar="HOST:PORT", help="Serve metrics for Prometheus at this address."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@consume.command()
@click.option("--bootstrap", required=True, metavar="HOST:PORT,...", help="Brokers to connect to first.")
@click.option("--topic", "topics", multiple=True, required=True, help="Topic to consume; may be repeated.")
@click.option("--group", default="labelloop", show_default=True, help="Consumer group, which keeps the offsets.")
@click.option("--dead-letter", help="Topic of the dead letters  [TOPIC.dead-letter]")
@click.option("--config", "pairs", multiple=True, metavar="KEY=VALUE", help="Setting of librdkafka; may be repeated.")
@click.option(
    "--config-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with one KEY=VALUE a line, for passwords.",
)
@consumer_options
@with_settings
def kafka(
    settings: Settings,
    bootstrap: str,
    topics: Sequence[str],
    group: str,
    dead_letter: str | None,
    pairs: Sequence[str],
    config_file: Path | None,
    **shared: Any,
) -> None:
    """Store the outputs in topics of Kafka.

    Without --loop, the loop is the message's header labelloop-loop or, if there is none, the name of its topic.
    """
    from labelloop.process.settings import read_file
    from sync.intake import kafka as hop

    config = read_file(config_file) if config_file else {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise UsageError(f"--config is {pair!r}; it takes KEY=VALUE, such as security.protocol=SASL_SSL")
        config[name] = value
    source = hop.Source(
        bootstrap, topics, group, dead_letter, {name.strip(): value.strip() for name, value in config.items()}
    )
    source.check()
    with _consuming(settings, **shared) as (consuming, batching):
        hop.consume(source, consuming, batching)


@consume.command()
@click.option(
    "--url",
    required=True,
    envvar="LABELLOOP_RABBITMQ_URL",
    help="amqp://user:password@host:port/vhost (or LABELLOOP_RABBITMQ_URL, which hides the password from `ps`).",
)
@click.option("--queue", required=True, help="Queue to consume.")
@click.option(
    "--prefetch",
    type=click.IntRange(1, 65_535),
    default=2_000,
    show_default=True,
    help="Messages that the broker sends ahead of their acknowledgement.",
)
@click.option(
    "--dead-letter-exchange", default="", help="Exchange of the dead letters  [to the queue QUEUE.dead-letter]"
)
@consumer_options
@with_settings
def rabbitmq(settings: Settings, url: str, queue: str, prefetch: int, dead_letter_exchange: str, **shared: Any) -> None:
    """Store the outputs in a queue of RabbitMQ.

    Without --loop, the loop is the message's header labelloop-loop or, if there is none, its routing key.
    """
    from sync.intake import rabbitmq as hop

    with _consuming(settings, **shared) as (consuming, batching):
        hop.consume(hop.Source(url, queue, prefetch, dead_letter_exchange), consuming, batching)


@contextmanager
def _consuming(
    settings: Settings, loop: str | None, batch: int, wait_ms: int, metrics: str | None
) -> Iterator[tuple[Consuming, Batching]]:
    """Yield what a consumer needs, once the loop is known; SIGTERM and SIGINT end it in order."""
    from labelloop.process import log
    from labelloop.store.database import Database
    from sync.intake.consuming import Batching, Consuming

    log.configure(settings.log)
    settings.require("database_url")
    with Database(settings.database_url, size=2, actor="labelloop consume") as database:
        consuming = Consuming(settings, database, loop, metrics)
        consuming.end_on_signals()
        consuming.check_loop()
        to_stderr("consuming; SIGTERM or Ctrl-C ends it after the batch in progress")
        yield consuming, Batching(batch, wait_ms / 1000)
        consuming.end()


COMMANDS = (consume,)
