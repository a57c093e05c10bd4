"""Models: the champion's file (I9), what is served (I10), what runs used (I11, I12), promotions (I13, I14)."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID
from xml.etree.ElementTree import ParseError

import httpx

from console.doctor.deep.labels import became
from console.doctor.deep.places import CouldNotLookError, Loop, Places
from console.doctor.deep.postgres import Conn, Row, not_forgotten
from console.doctor.deep.readings import form, labels_of
from console.doctor.deep.seen import Seen

LOADS_WITHIN_S = 180
_LOAD = "\n".join(
    [
        "import json, pathlib, sys",
        "from backend import models",
        "data = json.load(sys.stdin)",
        "learner = models.load(pathlib.Path(sys.argv[1]), sys.argv[2])",
        "asks = {learner.name, getattr(learner, 'reads', '')}.intersection(sys.argv[3:])",
        "found = learner.predict(data) if data and not asks else None",
        "print(json.dumps([] if found is None else list(zip(found.labels, found.confidences.tolist()))))",
    ]
)
ASK_SERVERS = ("images", "label-studio-ml", "remote")
"""Learners that fetch items, or ask a server for predictions."""
PREDICTED_AGAIN = 20
"""Number of held-out items that the champion predicts again."""
ROUNDING = 0.001
"""Difference of a confidence that another processor may make."""
SHORT = 12
"""Digits of a version's id by which the backend and Label Studio name it."""


def file(seen: Seen, conn: Conn, loop: Loop, places: Places) -> None:
    """Check the bytes of the champion's file, and load it in a new process: what this process has in memory does not
    count. There it predicts some held-out items of its last verdict again.
    """
    version, folder = _champion(conn, loop), places.models_dir
    if version is None:
        return
    if folder is None or not folder.is_dir():
        raise CouldNotLookError(f"there is no folder of models here: {folder}; run this where the backend runs")
    try:
        with (folder / f"{version}.skops").open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as exc:
        seen.wrong("I9", version, f"its file cannot be read: {exc.strerror}")
        return
    if digest != version:
        seen.wrong("I9", version, "the SHA-256 of its file is not its name")
        return
    judged = _judged(conn, loop, version)
    predicted, fault = _predict_again(folder, version, places.rooms, [row["data"] for row in judged])
    if fault:
        seen.wrong("I9", version, f"it does not load in a new process: {fault}")
        return
    now = became(conn, loop)
    for row, (label, confidence) in zip(judged, predicted, strict=bool(predicted)):
        same = now.get(row["label"], row["label"]) == now.get(label or "", label)
        if not same or abs(row["confidence"] - confidence) > ROUNDING:
            says = (
                f"it predicts {label!r} ({confidence:.4f}) for {row['key']}, and was judged by {row['label']!r} "
                f"({row['confidence']:.4f})"
            )
            seen.wrong("I9", version, says, mark=row["key"])


def _champion(conn: Conn, loop: Loop) -> str | None:
    row = conn.execute(
        "select id from model_versions where loop = %(loop)s and stage = 'champion'", {"loop": loop.name}
    ).fetchone()
    return None if row is None else str(row["id"])


def _judged(conn: Conn, loop: Loop, version: str) -> list[Row]:
    """Return held-out items of the newest run that judged the version, with its predictions at that time."""
    return conn.execute(
        f"""
        select o.key, o.data, i.challenger_label as label, i.challenger_confidence as confidence
        from run_items i join outputs o on o.id = i.output_id
        where i.run_id = (
            select id from retrain_runs where loop = %(loop)s and version_id = %(version)s and finished_at is not null
            order by finished_at desc limit 1)
        and i.challenger_label is not null and i.challenger_confidence is not null and {not_forgotten(conn)}
        order by o.key limit %(most)s
        """,
        {"loop": loop.name, "version": version, "most": PREDICTED_AGAIN},
    ).fetchall()


def _predict_again(
    folder: Path, version: str, rooms: Path | None, data: list[Any]
) -> tuple[list[tuple[str | None, float]], str]:
    """Return label and confidence of each item, and the last line of the error with which a new process fails.

    Nothing is predicted by learners that ask a server. The error is "" if the file loads.
    """
    environ = {**os.environ, "PYTHONPATH": str(rooms or ""), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _LOAD, str(folder), version, *ASK_SERVERS]
    given = json.dumps(data)
    try:
        done = subprocess.run(
            command, env=environ, input=given, capture_output=True, text=True, timeout=LOADS_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        return [], f"no end after {LOADS_WITHIN_S} s"
    if done.returncode:
        return [], (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    return [(label, confidence) for label, confidence in json.loads(done.stdout)], ""


def served(seen: Seen, conn: Conn, loop: Loop, places: Places) -> None:
    """Ask the backend, which reads the champion anew with each request, at most once a second."""
    if not places.backend_url or loop.project_id is None:
        return
    version = _champion(conn, loop)
    body = {"tasks": [], "project": f"{loop.project_id}.0"}
    try:
        answer = httpx.post(f"{places.backend_url}/predict", json=body, auth=places.backend_login, timeout=30)
        served = answer.raise_for_status().json()["model_version"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as exc:
        raise CouldNotLookError(
            f"the backend does not say which version it serves: {type(exc).__name__} {exc}"
        ) from exc
    wanted = "pipeline" if version is None else version[:SHORT]
    if served != wanted:
        seen.wrong("I10", loop.name, f"{served} serves, and the champion is {wanted}")


def runs(seen: Seen, conn: Conn, loop: Loop) -> None:
    """Check what versions were trained on and judged with."""
    for row in conn.execute(
        """
        select r.id, count(*) as n, min(o.key) as example, (array_agg(o.id))[:1000] as outputs
        from retrain_runs r join (
            select run_id, output_id from run_items where part = 'train'
            union all select run_id, output_id from accepted_items
        ) i on i.run_id = r.id join outputs o on o.id = i.output_id
        where r.loop = %(loop)s and (o.holdout or exists (
            select from run_items h join outputs q on q.id = h.output_id
            where h.run_id = r.id and h.part = 'holdout' and q.group_key = o.group_key))
        group by r.id
        """,
        {"loop": loop.name},
    ):
        seen.wrong("I11", row["id"], f"it was trained on {row['n']} outputs of the hold-out, such as {row['example']}")
        for output in row["outputs"]:
            seen.blame(output)
    known: list[str] = []
    if form(loop.labels_xml, loop.spec.get("answer") or ()) is not None:
        texts = conn.execute("select labels_xml from spec_versions where loop = %(loop)s", {"loop": loop.name})
        try:
            known = sorted(labels_of([loop.labels_xml, *(row["labels_xml"] for row in texts)]))
        except ParseError:
            known = []
    told = set[UUID]()
    for row in conn.execute(
        f"""
        select i.run_id, o.id as output, o.key, i.label from run_items i join retrain_runs r on r.id = i.run_id
        join outputs o on o.id = i.output_id left join answers a on a.seq = i.answer_seq
        where r.loop = %(loop)s and {not_forgotten(conn)}
        and (a.output_id is distinct from i.output_id or a.label is distinct from i.label
            or (%(known)s::text[] <> '{{}}' and left(i.label, 1) <> '[' and i.label <> all(%(known)s)))
        limit 10000
        """,
        {"loop": loop.name, "known": known},
    ):
        if not seen.told(row["output"]):
            says = f"it used the label {row['label'][:40]!r} for {row['key']}, which is not that of the answer"
            seen.wrong("I12", row["run_id"], says, mark=row["key"])
            told.add(row["output"])
    for output in told:
        seen.blame(output)


def promotions(seen: Seen, conn: Conn, loop: Loop) -> None:
    rows = conn.execute(
        """
        select p.*, exists (
            select from retrain_runs r
            where r.loop = p.loop and r.version_id = p.version_id and r.status = 'promoted' and r.scores is not null
            and r.champion_id is not distinct from p.previous_id and r.finished_at <= p.at
        ) as judged
        from promotions p where p.loop = %(loop)s order by p.epoch
        """,
        {"loop": loop.name},
    ).fetchall()
    before: str | None = None
    for place, row in enumerate(rows, start=1):
        on_record = f"promotions/{loop.name}/{row['epoch']}"
        if row["epoch"] != place or row["previous_id"] != before:
            seen.wrong("I14", row["epoch"], "it does not begin where the promotion before it ended", row=on_record)
        elif row["by"] == "gate" and not row["judged"]:
            seen.wrong("I13", row["epoch"], "the gate has no passed verdict on this version before it", row=on_record)
        elif not row["by"].strip() or not row["why"].strip():
            seen.wrong("I13", row["epoch"], "nobody is named, or no reason is given", row=on_record)
        before = row["version_id"]
    champions = conn.execute(
        "select id from model_versions where loop = %(loop)s and stage = 'champion'", {"loop": loop.name}
    ).fetchall()
    if [row["id"] for row in champions] != ([] if before is None else [before]):
        now = ", ".join(row["id"][:SHORT] for row in champions) or "the pipeline"
        says = f"the champion is {now}, and the last promotion was that of {(before or 'the pipeline')[:SHORT]}"
        seen.wrong("I14", loop.name, says, row=f"promotions/{loop.name}/{len(rows) + 1}")
        for version in [before, *(row["id"] for row in champions)]:
            seen.name_row(f"model_versions/{version}")
