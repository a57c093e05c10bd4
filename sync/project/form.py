"""The project's form after a change of the loop's own form: it is sent before the next tasks are."""

from __future__ import annotations

import logging

from labelloop.errors import Failed, Refused
from labelloop.labeling.form_xml import same_form
from labelloop.labelstudio.answers import Project
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.project import LoopProject
from labelloop.store.database import Database
from labelloop.store.tables import loops
from sync.project.project import apply_spec

logger = logging.getLogger(__name__)


def send_changed_form(database: Database, gateway: Gateway, project: Project, row: LoopProject) -> Project:
    """Send the loop's form if the project still has an earlier one of the loop. Returns the project as it then is.

    A form that somebody changed in Label Studio stays as it is. The form is the one registered now: a push that read
    an earlier spec must not send that one. Raises Failed if Label Studio refuses the form.
    """
    with database.transaction() as conn:
        spec = loops.get(conn, row.loop)
        if spec is None or same_form(spec.labels_xml, project.labels_xml):
            return project
        earlier = loops.forms(conn, row.loop)
    if not any(same_form(form, project.labels_xml) for form in earlier):
        return project
    try:
        project = apply_spec(database, gateway, project, spec, row)
    except Refused as exc:
        if exc.status != 400:
            raise
        raise Failed(
            f"Label Studio refuses the new form of loop {row.loop!r} for project {project.id}, so no task is pushed "
            f"with the old one. Keep what the answers there use, or make a new project: "
            f"labelloop project recreate --loop {row.loop} ({exc})"
        ) from exc
    logger.info("loop %s: the changed form was sent to project %s", row.loop, project.id)
    return project
