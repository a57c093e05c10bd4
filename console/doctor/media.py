"""Checks of media: a sample of the addresses in a loop's outputs, and the outputs that are held back for theirs."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import psycopg

from console.doctor.findings import Finding, fault, good, hint, unseen
from labelloop.errors import LabelloopError, UsageError
from labelloop.labeling.media import addresses_in, media_fields
from labelloop.pictures.media.many import Wanted, host_of, look_at
from labelloop.pictures.media.of_loop import looker_of
from labelloop.pictures.media.verdict import Code, Level, Verdict, origin, shown
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.media import holding
from labelloop.store.media.holding import Held
from labelloop.store.tables import loops

SAMPLE = 20
"""Outputs looked at of each kind: open tasks, waiting ones, and held ones."""
LIMIT_S = 120.0
"""Seconds for the sample of one loop."""
PAGE = "docs/operators/media.md"
WHY = "annotators see an error or an empty page, and cannot answer"
REPAIRS = {
    Code.MISSING: "put the file back, or submit the outputs with a correct address",
    Code.FORBIDDEN: "make the files public, sign their addresses, or let a storage of the project sign them (s3://…)",
    Code.STATUS: "open the address in a browser, and mend its server",
    Code.CORS: "have the server send `Access-Control-Allow-Origin: {origin}`",
    Code.FRAME: "have the server allow `frame-ancestors {origin}`",
    Code.EXPIRED: "submit s3://, gs:// or azure-blob:// addresses, which a storage of the project signs",
    Code.EXPIRES: "answer them before that, or submit s3://, gs:// or azure-blob:// addresses",
    Code.MIXED: "serve the files by https",
    Code.TYPE: "submit the address of the file itself; a page that asks for a login is none",
    Code.FORMAT: "convert the files to PNG, JPEG, WebP, WAV, MP3, FLAC, MP4 (H.264) or WebM",
    Code.EMPTY: "write the file again",
    Code.LARGE: "submit smaller files",
    Code.LOCAL: "submit the address by which annotators reach the server",
    Code.STORAGE: "add a storage with this bucket to the project: Settings, Cloud Storage; or correct its keys",
    Code.REDIRECTS: "submit the address at the end of the redirects",
    Code.ADDRESS: "submit an address that begins with https://, s3://, gs://, azure-blob:// or /data/",
    Code.RANGES: "use a server that answers range requests",
    Code.PRIVATE: "allow its host in LABELLOOP_FETCH_PRIVATE, if annotators reach it",
    Code.UNREACHED: "look again later; or from a machine that reaches the server",
}
"""One line that repairs each finding. `{origin}` is the origin of Label Studio's page."""


def examine_media(settings: Settings, loop: str | None = None, sample: int = SAMPLE) -> list[Finding]:
    """Return the findings about the media of all loops, or of one. Raises UsageError for an unknown loop."""
    settings.require("database_url", "label_studio_url")
    found: list[Finding] = []
    with Database(settings.database_url, size=2) as database:
        with database.transaction() as conn:
            names = loops.names(conn)
            if loop is not None and loop not in names:
                raise UsageError(f"no loop {loop!r}; there are: {', '.join(names) or 'none'}")
            specs = [loops.get(conn, name) for name in names if loop in (None, name)]
        for spec in specs:
            if spec is not None:
                try:
                    found += _loop(database, settings, spec, sample)
                except (LabelloopError, psycopg.Error) as exc:
                    found.append(unseen("media", " ".join(str(exc).split()), loop=spec.name))
    return found or [unseen("media", "no loop is registered", "labelloop migrate")]


def _loop(database: Database, settings: Settings, spec: LoopSpec, sample: int) -> Iterator[Finding]:
    fields = media_fields(spec.labels_xml)
    if not fields:
        yield good("media", "the form shows no addresses", spec.name)
        return
    with database.transaction() as conn:
        data = holding.sample(conn, spec.name, sample, list(dict.fromkeys(field.field for field in fields)))
        held = holding.why_held(conn, spec.name)
    wanted = list(dict.fromkeys(one for item in data for one in addresses_in(item, fields)))
    if not wanted:
        yield good("media", "no waiting output or open task has an address yet", spec.name)
        return
    with looker_of(database, settings, spec) as looker:
        found = look_at(looker, wanted, LIMIT_S, threading.Event())
    yield from told(spec.name, wanted, found, settings.label_studio_page)
    if held:
        yield held_back(spec.name, held)


def told(loop: str, wanted: Sequence[Wanted], found: Mapping[Wanted, Verdict], page: str) -> Iterator[Finding]:
    """Yield one finding for each kind of fault at each host, and one for all addresses that can be read."""
    groups: dict[tuple[Level, Code, str], list[Wanted]] = defaultdict(list)
    for one, verdict in found.items():
        groups[verdict.level, verdict.code, host_of(one[1])].append(one)
    for (level, code, _), several in sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]), item[0])):
        if level is Level.READABLE:
            continue
        field, address = several[0]
        many = f"{len(several)} of {len(wanted)} addresses, such as " if len(several) > 1 else ""
        says = f"{many}{field.tag} ${field.field}: {shown(address)} {found[several[0]].says}"
        repair = REPAIRS[code].format(origin=origin(page))
        if level is Level.UNREADABLE:
            yield fault("media", says, why=WHY, repair=repair, loop=loop)
        elif level is Level.WARNING:
            yield hint("media", f"{says}: {repair}", loop)
        else:
            yield unseen("media", says, repair, loop)
    if left := len(wanted) - len(found):
        yield unseen("media", f"{left} of {len(wanted)} addresses were left out: their hosts do not answer", loop=loop)
    if fine := sum(verdict.level is Level.READABLE for verdict in found.values()):
        yield good("media", f"{fine} of {len(wanted)} addresses of the sample can be read", loop)


def held_back(loop: str, rows: Sequence[Held]) -> Finding:
    """Report the outputs that are held back. `rows`: one for each reason and host, the most frequent first."""
    if not rows:
        return good("held media", "no output is held back for its media", loop)
    n, first = sum(row.n for row in rows), rows[0]
    more = f"; and {len(rows) - 1} other reason{'s' * (len(rows) > 2)}" if len(rows) > 1 else ""
    are = "1 output is" if n == 1 else f"{n} outputs are"
    return fault(
        "held media",
        f"{are} held back, because no browser can read their media. {first.n} like {first.key}: {first.reason}{more}",
        why="no person is asked about them",
        repair=f"mend it ({PAGE}); they wait again within half an hour, or with `labelloop push --loop {loop}`",
        loop=loop,
    )
