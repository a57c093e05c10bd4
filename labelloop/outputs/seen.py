"""Check that people can see an item in the form: the addresses in its data, and the items of a list. Pure.

Label Studio shows a blank task for an empty address, refuses one that is no text, and shows a white page for a list
whose items have no id (1.23.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.media import MediaField, Medium, media_fields
from labelloop.reading import paths

_FILES = (Medium.IMAGE, Medium.AUDIO, Medium.VIDEO, Medium.PDF)


def check(data: Mapping[str, Any], config: LabelingConfig) -> None:
    """Raise InvalidOutput with the path of the first value that the form cannot show. `data` has all fields of it."""
    for field in media_fields(config.xml):
        value = paths.value_at(data, field.field)
        if field.tag.lower() == "paragraphs" or value is None:  # the sound beside a dialogue may be missing
            continue
        path = f"data.{field.field}"
        if isinstance(value, list) and value and field.medium is Medium.IMAGE:
            for i, one in enumerate(value):
                _address(f"{path}[{i}]", field, one)
        else:
            _address(path, field, value)
    for control in config.controls:
        if control.over == "List" and control.data_field:
            _items(f"data.{control.data_field}", paths.value_at(data, control.data_field))


def _address(path: str, field: MediaField, value: object) -> None:
    if value in ("", []) or (isinstance(value, str) and not value.strip()):
        raise InvalidOutput(path, f"is empty; give an address: {field.tag} shows it")
    if not isinstance(value, str) and field.medium in _FILES:
        raise InvalidOutput(path, f"must be a text with the address of {field.medium.words}; it is {str(value)[:40]}")


def _items(path: str, value: object) -> None:
    if not isinstance(value, list):
        raise InvalidOutput(path, f'must be a list of items such as {{"id": "a"}}; it is {str(value)[:40]!r}')
    seen = set[str]()
    for i, one in enumerate(value):
        if not isinstance(one, dict):
            raise InvalidOutput(f"{path}[{i}]", f'must be an object such as {{"id": "a"}}; it is {str(one)[:40]!r}')
        id_ = one.get("id")
        if id_ is None:
            raise InvalidOutput(f"{path}[{i}].id", "is missing; each item of the list has an id of its own")
        if type(id_) not in (str, int, float):
            raise InvalidOutput(f"{path}[{i}].id", f"must be a text or a number; it is {str(id_)[:40]}")
        if str(id_) in seen:
            raise InvalidOutput(f"{path}[{i}].id", f"{str(id_)[:40]!r} is the id of an earlier item of the list")
        seen.add(str(id_))
