"""Files as other tools write them, and loops that they are imported into."""

from __future__ import annotations

from pathlib import Path

from labelloop.labeling.config import LabelingConfig
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec

FOLDER = Path(__file__).parent / "imports"
PETS = """<View><Text name="text" value="$text"/><Choices name="label" toName="text" choice="single-radio">
<Choice value="cat"/><Choice value="dog"/><Choice value="eel"/></Choices></View>"""
TAGS = """<View><Text name="text" value="$text"/><Choices name="label" toName="text" choice="multiple">
<Choice value="late"/><Choice value="rude"/><Choice value="wrong"/></Choices></View>"""
NAMES = """<View><Text name="text" value="$text"/><Labels name="label" toName="text">
<Label value="PER"/><Label value="LOC"/><Label value="ORG"/><Label value="MISC"/></Labels></View>"""
STARS = '<View><Text name="text" value="$text"/><Number name="label" toName="text" min="0" max="10"/></View>'
TRAVEL = """<View><Text name="text" value="$text"/><Choices name="label" toName="text">
<Choice value="travel"/><Choice value="work"/></Choices></View>"""
BOXES = """<View><Image name="image" value="$image"/><RectangleLabels name="boxes" toName="image"><Label value="car"/>
<Label value="sign"/></RectangleLabels></View>"""
FORMS = {"pets": PETS, "tags": TAGS, "names": NAMES, "stars": STARS, "travel": TRAVEL, "boxes": BOXES}
_YAML = "feedback_loop: {trigger: model_confidence < 0.8, audit: 0, holdout: 0, overlap: OVERLAP, learner: none}"


def loop(name: str, form: str | None = None, overlap: int = 1) -> LoopSpec:
    """Return a loop with one of FORMS; by default the one of its name."""
    return parse(name, _YAML.replace("OVERLAP", str(overlap)), FORMS[form or name])


def config(form: str) -> LabelingConfig:
    return loop(form).config
