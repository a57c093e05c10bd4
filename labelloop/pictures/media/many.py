"""Many: look at several addresses, few at a time at any host, within a limit of time."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from labelloop.labeling.media import MediaField
from labelloop.pictures.media.look import Looker
from labelloop.pictures.media.verdict import Code, Verdict
from labelloop.spec.fetching import OF_LABEL_STUDIO

AT_ONCE = 6
"""Requests at the same time, over all hosts."""
AT_A_HOST = 2
"""Requests at the same time at one host."""
FAILURES = 3
"""After this many failures in a row, the other addresses of a host are left for another time."""
Wanted = tuple[MediaField, str]
"""A field and one address in it."""


def host_of(address: str) -> str:
    """Return the host of an address, or its bucket, as s3://scans; "" for a file of Label Studio and a `data:` URI."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2].lower()
    return f"{parts.scheme}://{host}" if parts.scheme in OF_LABEL_STUDIO else host


def look_at(looker: Looker, wanted: Iterable[Wanted], limit_s: float, stop: threading.Event) -> dict[Wanted, Verdict]:
    """Return what was found. Addresses are missing for which there was no time, or whose host does not answer."""
    queues: dict[str, deque[Wanted]] = defaultdict(deque)
    for one in dict.fromkeys(wanted):
        queues[host_of(one[1])].append(one)
    found: dict[Wanted, Verdict] = {}
    failures: dict[str, int] = dict.fromkeys(queues, 0)
    ends = time.monotonic() + limit_s

    def run(host: str) -> None:
        queue = queues[host]
        while failures[host] < FAILURES and time.monotonic() < ends and not stop.is_set():
            try:
                one = queue.popleft()
            except IndexError:
                return
            verdict = found[one] = looker.look(*one)
            failures[host] = failures[host] + 1 if verdict.code is Code.UNREACHED else 0

    runners = [host for host, queue in queues.items() for _ in range(min(AT_A_HOST, len(queue)))]
    if runners:
        with ThreadPoolExecutor(min(AT_ONCE, len(runners)), "media") as threads:
            for done in [threads.submit(run, host) for host in runners]:
                done.result()
    return found
