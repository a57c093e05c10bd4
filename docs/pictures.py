"""Make the pictures of the README and the pages from the running product: `make pictures` (needs Chromium).

It runs the demo in a data folder of its own, then opens Label Studio in a real browser, as an annotator does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from marked_pictures import marked
from people_picture import people_at_work
from photograph import PICTURES, photograph
from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from console.demo import DemoOptions, run
from console.files.templates import FOLDER, SAMPLES, folder_of
from console.local.start import EXAMPLES
from console.local.up import Running, UpOptions
from labelloop.process.settings import Settings
from labelloop.spec.folder import load, parse

YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  holdout: 0.0
  audit: 0.0
  learner: {name: none}
"""
REGIONS_XML = """<View>
  <RectangleLabels name="boxes" toName="image">
    <Label value="car" background="#1f77b4"/><Label value="person" background="#ff7f0e"/>
    <Label value="sign" background="#2ca02c"/>
  </RectangleLabels>
  <Image name="image" value="$image" zoom="true" maxWidth="700px"/>
  <View className="labelloop-why"><Header value="$labelloop_why" size="5"/></View>
</View>"""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def main() -> int:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        print("no Chromium is installed; Debian's package is called chromium", file=sys.stderr)
        return 1
    PICTURES.mkdir(exist_ok=True)
    console = Console(record=True, width=118, highlight=False)

    def look(running: Running) -> None:
        (PICTURES / "curve.png").write_bytes((running.settings.data_dir / "demo-digits.png").read_bytes())
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=ARGUMENTS)
            page = chromium.new_page(viewport={"width": 1280, "height": 800})
            _log_in(page, running)
            _annotate(page, running)
            templates(page, running.settings)
            many_labels(page, running.settings)
            marked(page, running.settings)
            regions(page, running.settings)
            texts_and_orders(page, running.settings)
            review = chromium.new_page(viewport={"width": 1280, "height": 1180})
            _review(review, running)
            people_at_work(review, running)
            terminal = chromium.new_page(viewport={"width": 1240, "height": 700})
            _terminal(terminal, console)
            chromium.close()

    with tempfile.TemporaryDirectory(prefix="labelloop-pictures-") as folder:
        os.chmod(folder, 0o755)
        options = UpOptions.from_env(os.environ, data_dir=Path(folder) / "data")
        run(DemoOptions(leave=True), options, console, look)
    return 0


def _log_in(page: Page, running: Running) -> None:
    page.goto(f"{running.settings.label_studio_url}/user/login/")
    page.fill("input[name=email]", running.settings.label_studio_user)
    page.fill("input[name=password]", running.settings.label_studio_password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/login" not in url)


def _annotate(page: Page, running: Running) -> None:
    """Photograph the data manager, and the task that Label All Tasks serves: prelabelled, not yet answered."""
    page.goto(f"{running.settings.label_studio_url}/projects/1/data")
    page.wait_for_timeout(6000)
    page.screenshot(path=PICTURES / "data-manager.png")
    page.get_by_role("button", name="Label All Tasks").click()
    page.wait_for_timeout(6000)
    page.screenshot(path=PICTURES / "annotator.png")


def many_labels(page: Page, settings: Settings) -> None:
    """Photograph a task of a loop with 77 labels."""
    things = ("card", "transfer", "top up", "cash", "refund", "exchange rate", "passcode")
    fates = (
        "lost",
        "late",
        "declined",
        "fee",
        "limit",
        "pending",
        "cancelled",
        "not working",
        "verify",
        "abroad",
        "other",
    )
    labels = [f"{thing}: {fate}" for thing in things for fate in fates]
    spec = load(EXAMPLES / "tickets").with_labels(labels).model_copy(update={"name": "labels", "title": "Intents"})
    shares = {"card: late": 0.48, "card: lost": 0.33, "transfer: late": 0.1, "card: other": 0.05, "refund: late": 0.04}
    text = "I am still waiting for my card. It was ordered two weeks ago, and nobody can tell me where it is."
    line = json.dumps({"key": "1", "data": {"text": text}, "probabilities": shares}).encode()
    photograph(page, settings, spec, [line])


def templates(page: Page, settings: Settings) -> None:
    """Photograph the first task of each template whose form the pages show."""
    for name in ("pairwise", "boxes", "detector", "questions", "time-series"):
        folder = folder_of(name)
        photograph(page, settings, load(folder), (folder / SAMPLES).read_bytes().splitlines())


def regions(page: Page, settings: Settings) -> None:
    """Photograph a form whose answer is the boxes, with those of a detector: the pictures of the template `boxes`."""
    outputs = []
    for line in (FOLDER / "boxes" / SAMPLES).read_bytes().splitlines():
        sample = json.loads(line)
        values = [region["value"] for region in sample["result"] if region["from_name"] == "boxes"]
        boxes = [
            {"box": [value[name] for name in ("x", "y", "width", "height")], "label": value["rectanglelabels"][0]}
            for value in values
        ]
        output = {"key": sample["key"], "data": sample["data"], "label": boxes, "confidence": 0.5}
        outputs.append(json.dumps(output).encode())
    photograph(page, settings, parse("regions", YAML, REGIONS_XML), outputs)


def texts_and_orders(page: Page, settings: Settings) -> None:
    """Photograph the first two forms of docs/pipelines/texts.md, each with the outputs below it."""
    words = (Path(__file__).parent / "pipelines" / "texts.md").read_text()
    forms = re.findall(r"```xml\n(.*?)```\s*```json\n(.*?)```", words, re.DOTALL)
    for name, (form, outputs) in zip(("texts", "order"), forms, strict=False):
        photograph(page, settings, parse(name, YAML, form), outputs.encode().splitlines())


def _review(page: Page, running: Running) -> None:
    """Photograph the page of the last promoted run."""
    page.goto(running.addresses["review"])
    page.fill("#token", running.settings.review_token)
    page.click("main button")
    page.goto(f"{running.addresses['review']}loops/digits")
    page.locator("tr:has(.status.promoted) th a").first.click()
    page.locator("#verdict").wait_for()
    page.screenshot(path=PICTURES / "review.png")


def _terminal(page: Page, console: Console) -> None:
    """Photograph the demo's output from its first outputs on; the lines before and after name local folders."""
    shown = console.export_html(inline_styles=True)
    first, last = shown.index("The pipeline, a model"), shown.index("Learning curve:")
    opening = shown[: shown.index("<pre")]
    page.set_content(f"{opening}<pre style='font-family: monospace'>{shown[first:last]}</pre></body></html>")
    page.add_style_tag(content="body { margin: 16px; } pre { font-size: 14px; line-height: 1.35; }")
    page.locator("body").screenshot(path=PICTURES / "demo.png")


if __name__ == "__main__":
    sys.exit(main())
