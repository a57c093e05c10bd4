"""The encoding child: `python -m backend.encode.child NAME ID`. It reads texts and writes their vectors.

A request is a line of JSON with a list of texts. The reply is a line of JSON, {"n", "width"} followed by n x width
numbers of 16 bits, or {"error": reason}. It exits when its standard input ends, and so with the worker.
"""

from __future__ import annotations

import json
import os
import resource
import sys

import numpy as np

from backend.encode.encoder import checked, encoder
from labelloop.errors import SettingsError

MEMORY_GB = 4
"""Address space, in GiB. The default encoder takes 150 MB of memory."""


def main(name: str, id_: str) -> int:
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is a log line, not a reply
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_GB << 30, MEMORY_GB << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin.buffer:
        try:
            vectors = checked(encoder(name), name, id_).encode(json.loads(line))
        except (SettingsError, MemoryError) as exc:
            replies.write(json.dumps({"error": str(exc) or f"more than {MEMORY_GB} GiB of memory"}).encode() + b"\n")
        else:
            replies.write(json.dumps({"n": len(vectors), "width": vectors.shape[1]}).encode() + b"\n")
            replies.write(vectors.astype(np.dtype("<f2")).tobytes())
        replies.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
