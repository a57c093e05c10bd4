"""Hugging Face: the folder that `datasets.load_dataset` reads, with Parquet files and a dataset card. Pure.

Format: https://huggingface.co/docs/hub/datasets-adding and its pages on the structure of a repository. The held-out
answers, and the gold ones, are the split `test`: they must not train a model that is compared on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

SPLITS = ("train", "test")
ROWS_A_FILE = 100_000
"""Rows of one Parquet file."""


def split_of(row: Mapping[str, Any]) -> str:
    """Return the split of an answered output."""
    return SPLITS[bool(row["holdout"]) or row["lane"] == "gold"]


def file_of(split: str, number: int) -> str:
    """Return the path of a split's file, by its number from 0."""
    return f"data/{split}-{number:05}.parquet"


def card(loop: str, kind: str, labels: Sequence[str], counts: Mapping[str, int], columns: Sequence[str]) -> str:
    """Return the dataset card, README.md: YAML at its head, which names the files, and what the columns are.

    `kind`: the kind of the answers in words. `counts`: the number of rows of each split; those with none are left out.
    """
    made = [split for split in SPLITS if counts.get(split)]
    files = "\n".join(f"  - split: {split}\n    path: data/{split}-*.parquet" for split in made)
    told = "\n".join(f"- `{split}`: {counts[split]:,} rows" for split in made)
    known = f" The labels are: {', '.join(labels[:50])}{', ...' if len(labels) > 50 else ''}." if labels else ""
    total = sum(counts.values())
    sizes = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    size = next((name for most, name in sizes if total < most), "n>1M")
    return f"""---
pretty_name: {json.dumps(loop)}
size_categories:
- {json.dumps(size)}
tags:
- labelloop
- human-feedback
configs:
- config_name: default
  data_files:
{files}
---

# {loop}

Answers of people, exported by labelloop. An answer is {kind}.{known}

{told}

`test` has the hold-out set and the gold items. Do not train a model on it that you compare on it.

Columns: {", ".join(f"`{name}`" for name in columns)}.
`answer` is what the reviewers agree on, `label` what the model had said.
Answers that are no text are JSON, and so are `data` and `answers`.
"""
