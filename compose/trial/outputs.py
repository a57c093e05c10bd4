"""Prints outputs FIRST to LAST of the demo's weak model as NDJSON, and on stderr the true digit of each picture.

python - FIRST LAST < outputs.py     in a container of the image `labelloop`
"""

import importlib.util
import json
import sys
from pathlib import Path

# By its path: the package `console.demo` itself needs what only `labelloop up` needs, and no server has.
package = importlib.util.find_spec("console").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("items", Path(package) / "demo" / "items.py")
items = sys.modules["items"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(items)

digits = items.digits(1)
truth = digits.truth_of()
outputs = items.weak_outputs(digits, 1)[0][int(sys.argv[1]) : int(sys.argv[2])]
for output in outputs:
    row = {"key": output.key, "data": dict(output.data), "probabilities": dict(output.probabilities)}
    print(json.dumps({**row, "model_version": output.model_version}))
json.dump({output.data["image"][-80:]: truth[output.key] for output in outputs}, sys.stderr)
