"""Each invariant is broken once by SQL: the deep look tells that one and no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.doctor.deepest import places
from tests.support.hops.deep_loop import DeepLoop, data_only, deep_loop, looked, tamper
from tests.support.servers import LabelStudio


@pytest.fixture(scope="module")
def deep(
    postgres_url: str, _template: str, label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DeepLoop]:
    folder: Path = tmp_path_factory.mktemp("deep")
    with deep_loop(postgres_url, _template, label_studio, folder) as made:
        yield made


def test_a_loop_with_outputs_in_all_states_is_green(deep: DeepLoop, postgres_url: str) -> None:
    with deep.copy(postgres_url) as settings:
        assert looked(places(settings)) == {}


ANSWERED = "(select id from outputs where state = 'answered' order by key limit 1)"
OPEN = "(select id from outputs where state = 'in_review' order by key limit 1)"
AGREED = "(select distinct on (output_id) seq from answers where label = 'cat' order by output_id, seq desc limit 1)"
NEWEST = f"(select max(seq) from annotations where output_id = {ANSWERED})"
EEL = """'[{"id": "r1", "from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["eel"]}}]'"""
MUTATIONS = {
    "state": ("I1", f"update outputs set state = 'answered' where id = {OPEN}"),
    "answers.label": ("I24", f"update answers set label = 'eel' where seq = {AGREED}"),
    "feedback.label": ("I23", f"update feedback set label = 'yak' where model_output_id = {ANSWERED}"),
    "annotation_versions.result": ("I25", f"update annotation_versions set result = {EEL} where seq = {NEWEST}"),
    "tasks.label_studio_id": ("I4", f"update tasks set label_studio_id = 999999999 where output_id = {OPEN}"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_sql_changed_is_told_by_its_invariant_and_by_no_other(
    deep: DeepLoop, postgres_url: str, name: str
) -> None:
    invariant, statement = MUTATIONS[name]
    with deep.copy(postgres_url) as settings:
        tamper(settings.database_url, statement)
        assert set(looked(data_only(settings))) - {"I9"} == {invariant}
