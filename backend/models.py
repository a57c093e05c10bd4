"""Model files: `<sha256 of the bytes>.skops`, written once, and read only if the SHA-256 matches the name.

No pickle: skops builds only types that it knows to be harmless, and those in TRUSTED. The same fitted learner gives the
same bytes: skops puts memory addresses and the time into a file, and `_canonical` removes them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from backend.learners import Learner, load_sklearn, make
from labelloop.errors import Failed, SettingsError

TRUSTED: tuple[str, ...] = (
    # Labelloop's own, which hold plain values. A stored file has these paths: renaming one makes old files unreadable.
    "backend.learners.embedding.Embedding",
    "backend.learners.incremental.Onward",
    "backend.learners.table.Table",
    "backend.learners.text.Tfidf",
    # modAL's, the parts of a committee. The functions are its members' query strategies, which are never called.
    "modAL.disagreement.vote_entropy_sampling",
    "modAL.models.learners.ActiveLearner",
    "modAL.models.learners.Committee",
    "modAL.uncertainty.uncertainty_sampling",
    # Parts of scikit-learn's estimators: arrays with a few methods.
    "numpy.dtype",
    "scipy.sparse._csr.csr_matrix",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    # Gradient boosting stores its input conversion as a partial of the function below.
    "functools.partial",
    "sklearn.utils.validation.check_array",
)
"""Types and functions beyond those that skops trusts by itself.

None of them runs code from a file. A malicious tree could make scikit-learn read beyond its memory; the SHA-256 and
write access to Postgres protect against that.
"""
MAX_BYTES = 1 << 30
"""Largest size of a file, and of its unpacked content."""


class Stored(NamedTuple):
    id: str
    size_bytes: int


def store(folder: Path | None, loop: str, learner: Learner) -> Stored:
    """Store a fitted learner. The loop is part of the bytes, so two loops never share a version.

    Storing the same learner twice gives the same file.
    """
    load_sklearn()
    import skops.io

    content = {
        "loop": loop,
        "learner": learner.name,
        "params": dict(learner.params),
        "classes": list(learner.classes),
        "estimator": learner.estimator,
        "temperature": getattr(learner, "temperature", 1.0),
    }
    raw = _canonical(skops.io.dumps(content, compression=zipfile.ZIP_DEFLATED))
    identity = hashlib.sha256(raw).hexdigest()
    read(raw, identity)  # a file that cannot be read back must fail here, not when it starts to serve
    _write(path(folder, identity), raw)
    verify(folder, identity)
    return Stored(identity, len(raw))


def path(folder: Path | None, version_id: str) -> Path:
    if folder is None:
        raise SettingsError("not set: LABELLOOP_MODELS_DIR")
    if not re.fullmatch(r"[0-9a-f]{64}", version_id):
        raise ValueError(f"not a version: {version_id!r}")
    return folder / f"{version_id}.skops"


def verify(folder: Path | None, version_id: str) -> bytes:
    """Return the bytes of the version's file. Raises Failed if it is missing or has changed since it was stored."""
    file = path(folder, version_id)
    name = f"the file of version {version_id[:12]}"
    try:
        if file.stat().st_size > MAX_BYTES:
            raise Failed(f"{name} is larger than {MAX_BYTES} bytes: {file}")
        raw = file.read_bytes()
    except OSError as exc:
        raise Failed(f"{name} cannot be read: {exc.strerror}: {file}") from exc
    if hashlib.sha256(raw).hexdigest() != version_id:
        raise Failed(f"{name} is damaged or was changed (its SHA-256 is not its name): {file}")
    return raw


def intact(folder: Path | None, version_id: str) -> Path:
    """Return the path of the version's file after checking its bytes in pieces. Raises Failed as `verify` does."""
    file = path(folder, version_id)
    name = f"the file of version {version_id[:12]}"
    try:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as exc:
        raise Failed(f"{name} cannot be read: {exc.strerror}: {file}") from exc
    if digest != version_id:
        raise Failed(f"{name} is damaged or was changed (its SHA-256 is not its name): {file}")
    return file


def load(folder: Path | None, version_id: str) -> Learner:
    """Return the fitted learner. Raises Failed if the file is missing, was changed or holds a type not in TRUSTED."""
    return read(verify(folder, version_id), version_id)


def read(raw: bytes, version_id: str) -> Learner:
    """Return the fitted learner in these bytes of a version's file. Raises Failed as `load` does."""
    name = f"the file of version {version_id[:12]}"
    if hashlib.sha256(raw).hexdigest() != version_id:
        raise Failed(f"{name} is not what was stored: its SHA-256 differs")
    load_sklearn()  # here, since only a process that loads models needs the imports
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    from backend.learners.calibrate import with_temperature

    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise Failed(f"{name} unpacks to more than {MAX_BYTES} bytes")
        content = skops.io.loads(raw, trusted=list(TRUSTED))
        learner = make(content["learner"], content["params"])
        learner.classes, learner.estimator = tuple(content["classes"]), content["estimator"]
        learner = with_temperature(learner, float(content.get("temperature", 1.0)))
    except UntrustedTypesFoundException as exc:
        raise Failed(f"{name} is refused: it holds types that we do not trust: {exc}") from exc
    except Failed:
        raise
    except SettingsError as exc:
        raise Failed(f"{name} cannot serve here: {exc}") from exc
    except Exception as exc:  # a malformed file can make the reader fail in any way
        raise Failed(f"{name} is refused: it is not a model of ours ({type(exc).__name__}: {exc})") from exc
    return learner


def _write(target: Path, raw: bytes) -> None:
    """Write the file completely or not at all, so that it also survives a power cut."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _canonical(raw: bytes) -> bytes:
    """Return the same skops file with its parts numbered in the order of the schema, and without times."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    ids: dict[int, int] = {}
    names: dict[str, str] = {}

    def renumber(node: Any) -> Any:
        if isinstance(node, list):
            return [renumber(child) for child in node]
        if not isinstance(node, dict):
            return node
        renumbered: dict[str, Any] = {}
        for key, value in node.items():
            if key == "__id__" and isinstance(value, int):
                renumbered[key] = ids.setdefault(value, len(ids) + 1)
            elif key == "_stop_words_id":  # a vectorizer stores the address of its stop words
                renumbered[key] = renumber({**value, "content": "0"})
            elif key == "file" and isinstance(value, str) and value in parts:
                renumbered[key] = names.setdefault(value, f"{len(names) + 1}{Path(value).suffix}")
            else:
                renumbered[key] = renumber(value)
        return renumbered

    schema = json.dumps(renumber(json.loads(parts.pop("schema.json")))).encode()
    renamed = {new: parts[old] for old, new in names.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**renamed, "schema.json": schema}.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
