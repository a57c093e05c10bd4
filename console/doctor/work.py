"""Checks of Postgres, the workers, their jobs and the callbacks."""

from __future__ import annotations

from collections.abc import Sequence

from console.doctor.findings import Finding, fault, good, hint
from labelloop.process.rooms import command_line
from labelloop.queue.budget import Spent
from labelloop.store.callbacks.registered import Callback, CallbackCounts
from labelloop.store.pipelines.outbox import Count, Refused
from labelloop.store.questions.health import OpenJob, ServerState
from labelloop.store.tables.jobs import BACKEND_QUEUE, SYNC_QUEUE, WORKER_CONNECTIONS, worker_name

POOL = 8
"""Connections that each of our processes may hold: the default size of a Database."""
MOST_CONNECTIONS = 4 * POOL + POOL + 2 * WORKER_CONNECTIONS + 1
"""Two processes of sync, the backend, two workers (each with connections of its queue) and a training process."""
FEWEST_CONNECTIONS = 12
"""With fewer, a worker blocks at once: its queue listens, sends heartbeats and fetches while a job runs."""
NO_CONNECTION = "without a connection a worker stops, the intake answers 503, and webhook calls are refused"
LONGEST_WAIT_S = 120.0
"""A job older than this means that no worker is running."""
MISSED_HEARTBEATS = 3
"""Heartbeats that a worker may miss before it counts as dead; the workers use the same number."""
ROOMS = {worker_name(SYNC_QUEUE): "sync.worker", worker_name(BACKEND_QUEUE): "backend.worker"}


def schema(lacking: Sequence[str]) -> Finding:
    if not lacking:
        return good("schema", "up to date")
    return fault(
        "schema",
        f"the database lacks {', '.join(lacking)}",
        why="services of this version use columns that do not exist",
        repair="labelloop migrate",
    )


def connections(row: ServerState) -> Finding:
    """Check that our processes can open all their connections: limits of the server, the database and the role."""
    rooms = {"the server": (row.places, row.used, "raise max_connections of Postgres and restart it")}
    if row.database_places is not None:
        raise_it = "alter database ... connection limit 100  -- in psql, as an administrator"
        rooms["this database"] = (row.database_places, row.database_used, raise_it)
    if row.role_places is not None:
        raise_it = "alter role ... connection limit 100  -- in psql, as an administrator"
        rooms["this user"] = (row.role_places, row.role_used, raise_it)
    where, (places, used, repair) = min(rooms.items(), key=lambda room: room[1][0] - room[1][1])
    free = places - used
    if free < max(2, FEWEST_CONNECTIONS - row.ours):
        return fault(
            "connections",
            f"{where} has {free} connections free of {places}; labelloop has {row.ours} and needs up to "
            f"{MOST_CONNECTIONS}",
            why=NO_CONNECTION,
            repair=repair,
        )
    if free < MOST_CONNECTIONS - row.ours:
        busy = f"labelloop has {row.ours} and needs up to {MOST_CONNECTIONS} under full load"
        return hint("connections", f"{where} has {free} free of {places}; {busy}")
    return good("connections", f"{free} free of {places}")


def full(said: str) -> Finding:
    """Report a Postgres that refuses a new connection."""
    return fault(
        "connections",
        f"Postgres has no connection free ({said})",
        why=NO_CONNECTION,
        repair="raise max_connections of Postgres and restart it",
    )


def workers(named: Sequence[str], heartbeats: Sequence[float], beat_s: float) -> Finding:
    limit = MISSED_HEARTBEATS * beat_s
    missing = [module for name, module in ROOMS.items() if name not in named]
    alive = sum(age <= limit for age in heartbeats)
    why = "nothing is pushed, pulled or trained without them; requests wait, and nothing is lost"
    if missing:
        run = " and ".join(command_line(module) for module in missing)
        does = {"sync.worker": "sync", "backend.worker": "backend"}
        who = " and ".join(does[module] for module in missing)
        says = f"the worker of {who} does not run" if len(missing) == 1 else f"the workers of {who} do not run"
        return fault("workers", says, why=why, repair=f"{run}  # or `labelloop up`")
    if alive < len(ROOMS):
        silent = [age for age in heartbeats if age > limit]
        since = f", the last heartbeat of another is {min(silent):.0f} s old" if silent else ""
        return fault(
            "workers",
            f"{alive} of {len(ROOMS)} workers have a heartbeat{since}",
            why=why,
            repair="restart the workers  # with `labelloop up`: press Ctrl-C and start it again",
        )
    return good("workers", f"{alive} have a heartbeat, the oldest {max(a for a in heartbeats if a <= limit):.0f} s old")


def stuck(rows: Sequence[OpenJob], beat_s: float) -> Finding:
    left = [row for row in rows if row.status == "doing" and _is_dead(row.silence, beat_s)]
    late = [row for row in rows if row.status == "todo" and not row.behind and row.age > LONGEST_WAIT_S]
    if not left and not late:
        return good("jobs", f"{len(rows)} waiting or in progress" if rows else "none waiting")
    said = [f"{_job(row)} is held by a worker that is dead" for row in left]
    said += [f"{_job(row)} has waited for {row.age:.0f} s" for row in late]
    rooms = {"sync.worker" if row.name.startswith("sync.") else "backend.worker" for row in [*left, *late]}
    return fault(
        "jobs",
        "; ".join(said[:3]) + (f"; and {len(said) - 3} more" if len(said) > 3 else ""),
        why="only a running worker does jobs, and it also takes back the jobs of a dead one",
        repair=" and ".join(command_line(room) for room in sorted(rooms)) + "  # restart it; or `labelloop up`",
    )


def callbacks(known: Sequence[Callback], counts: Sequence[CallbackCounts]) -> Finding:
    """Report callbacks that are paused or have deliveries that were given up, and mention those that are retried."""
    dead = {row.id: row.dead for row in counts if row.dead}
    paused = [one for one in known if one.paused_at is not None]
    if not dead and not paused:
        return _pending(counts)
    said = [f"callback {str(one.id)[:8]} is paused: {one.paused_because}" for one in paused]
    said += [f"{n} dead deliver{'y' if n == 1 else 'ies'} of callback {str(id_)[:8]}" for id_, n in dead.items()]
    return fault(
        "callbacks",
        "; ".join(said[:3]) + (f"; and {len(said) - 3} more" if len(said) > 3 else ""),
        why="their receivers were not told of these events",
        repair="labelloop callback deliveries --dead  # mend the receiver, then labelloop callback "
        + ("resume ID, then " if paused else "")
        + "repeat --dead",
    )


def budget(loop: str, spent: Spent, waiting: int) -> Finding:
    """Tell that today's budget keeps outputs out, which explains a window with free places."""
    exhausted = spent.exhausted()
    if not exhausted or not waiting:
        return good("budget", spent.words(), loop)
    whose = "outputs" if exhausted.day else "outputs of the rule lane"
    says = f"{spent.words()}; {whose} wait until 00:00 UTC, and the window may stay empty until then"
    return hint("budget", f"{says}. `budget` in loop.yaml has the limits", loop)


def _pending(counts: Sequence[CallbackCounts]) -> Finding:
    failing = [f"{row.failing} of callback {str(row.id)[:8]}" for row in counts if row.failing]
    if failing:
        says = f"deliveries that failed and are retried: {', '.join(failing[:3])}"
        return hint("callbacks", f"{says}; `labelloop callback deliveries` says why")
    pending = sum(row.pending for row in counts)
    return good("callbacks", f"{pending} deliveries pending to {len(counts)} callbacks" if counts else "there are none")


def outbox(rows: Sequence[Count], first: Sequence[Refused]) -> Finding:
    """Report rows of the outbox that cannot be stored. `first`: at most one of them, as an example."""
    refused, waiting = sum(row.refused for row in rows), sum(row.waiting for row in rows)
    if not refused:
        return good("outbox", f"{waiting} rows wait" if waiting else "empty")
    example = f", for example row {first[0].id} of loop {first[0].loop[:50]!r}: {first[0].problem}" if first else ""
    return fault(
        "outbox",
        f"{refused} rows cannot be stored{example}",
        why="the output of a refused row is in no loop, and its writer was told nothing",
        repair="labelloop outbox list  # then retry or discard them",
    )


def removals(unfinished: Sequence[str]) -> Finding:
    """Report removals of data that have begun and are not finished. `unfinished`: the loop of each."""
    if not unfinished:
        return good("forget", "no removal is unfinished")
    loops = ", ".join(sorted(set(unfinished)))
    return fault(
        "forget",
        f"{len(unfinished)} {'removal has' if len(unfinished) == 1 else 'removals have'} begun and not ended: {loops}",
        why="tasks may be gone in Label Studio already, and the data is still in Postgres",
        repair="labelloop forget --list  # then repeat the same `labelloop forget`, which finishes it",
    )


def _is_dead(silence: float | None, beat_s: float) -> bool:
    return silence is None or silence > MISSED_HEARTBEATS * beat_s


def _job(row: OpenJob) -> str:
    return f"{row.name} of {row.loop}"
