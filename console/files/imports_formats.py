"""The formats that `labelloop import` reads."""

from __future__ import annotations

from collections.abc import Mapping

FORMATS: Mapping[str, str] = {
    "label-studio": "tasks of Label Studio: its export JSON or JSON_MIN",
    "csv": "a table (CSV, TSV), also one of our own exports",
    "jsonl": "JSON objects, one a line, also one of our own exports",
    "parquet": "a Parquet file, also one of our own exports",
    "hf": "a folder of a Hugging Face data set with Parquet files",
    "coco": "annotated pictures of COCO: boxes, polygons, masks, key points",
    "conll": "tagged tokens of CoNLL 2003: IOB1, BIO, BIOES or BILOU",
    "spacy": "documents of spaCy: JSON lines, or .spacy",
    "prodigy": "annotations of Prodigy, as `prodigy db-out` writes them",
    "argilla": "records of Argilla, as `Dataset.records.to_json` writes them",
}
"""Description of each format, by its name."""
