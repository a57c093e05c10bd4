"""The command init: make a loop from a template, from a file of outputs or from labels."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import click

from console.cli.output import to_stderr
from console.cli.wrappers import with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings
from labelloop.process.ups import is_held


def _list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from console.files import templates

    names = templates.names()
    for name in names:
        click.echo(f"{name:<{max(map(len, names))}}  {templates.phrase(name)}")
    context.exit()


@click.command(short_help="Make a loop from a template or from a file of outputs.")
@click.argument("name")
@click.option("--template", metavar="NAME", help="Template of the loop, such as classify; --templates lists all.")
@click.option(
    "--templates",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list,
    help="List the templates, each with what people answer, and exit.",
)
@click.option(
    "--from-label-studio-template",
    "of_label_studio",
    metavar="NAME",
    help="One of Label Studio's own templates, such as named-entity-recognition; a wrong name lists all.",
)
@click.option("--from", "file", help="CSV, TSV, JSON lines or Parquet with a text and a predicted label in each row.")
@click.option("--labels", help="Labels of your model, separated by commas: a loop without outputs, for your program.")
@click.option("--text", help="With --from: column of the text.")
@click.option("--label", help="With --from: column of the predicted label.")
@click.option("--confidence", help="With --from: column of the confidence, 0 to 1.")
@click.option("--key", help="With --from: column of the key  [`key`, else file name and row number]")
@click.option("--encoding", help="With --from: encoding of the file, such as cp1252  [its byte order mark, else UTF-8]")
@click.option(
    "--loops-dir",
    type=click.Path(path_type=Path),
    help="Folder in which the loop's folder is made  [that of the services, else labeling_configs]",
)
@with_settings
def init(
    settings: Settings,
    name: str,
    template: str | None,
    of_label_studio: str | None,
    file: str | None,
    labels: str | None,
    text: str | None,
    label: str | None,
    confidence: str | None,
    key: str | None,
    encoding: str | None,
    loops_dir: Path | None,
) -> None:
    """Make the loop NAME: a folder with its loop.yaml, and outputs to begin with.

    With a template the outputs are a few samples, for you to try the form. With a file they are its rows, which are
    submitted if the services run. With --labels there are none: a program submits them. If the services run, the loop
    is registered.
    """
    from console.cli.pipelines import begin
    from console.files import make
    from console.files.lines import Source

    folder = make.folder_of(loops_dir or settings.loops_dir, name)
    given = {
        "--template": template, "--from-label-studio-template": of_label_studio, "--from": file, "--labels": labels,
    }  # fmt: skip
    named = [option for option, value in given.items() if value is not None]
    if not named:
        raise UsageError("name a --template, or a file with --from, or the --labels of your model")
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} are given, and a loop is made from one of them")
    begin.refuse_known(settings, name, folder)
    if labels is not None:
        spec = make.from_labels(folder, labels)
        to_stderr(f"made the loop {name!r} in {folder}")
        if not begin.register(settings, spec):
            to_stderr(f"next:\n{_up_first(settings)}labelloop migrate")
        to_stderr(f'in Python: Client(loop="{name}").submit(...); in the shell: labelloop submit FILE --loop {name}')
        return
    outputs: Path | None
    if template is not None:
        spec, outputs = make.from_template(folder, template)
    elif of_label_studio is not None:
        spec, outputs = make.from_label_studio(folder, of_label_studio, _templates(settings))
    elif file is None or text is None or label is None:
        raise UsageError("--from needs --text and --label, the columns of the text and of the predicted label")
    else:
        spec, outputs = make.from_table(folder, Source(file, encoding), text, label, confidence, key)
    to_stderr(f"made the loop {name!r} in {folder}" + (f", with outputs in {outputs.name}" if outputs else ""))
    registered = begin.register(settings, spec)
    if outputs is None:
        if not registered:
            to_stderr(f"next:\n{_up_first(settings)}labelloop migrate")
        return
    if file is not None and registered and begin.submit(settings, outputs, name):
        return
    first = "" if registered else f"{_up_first(settings)}labelloop migrate\n"
    to_stderr(f"next:\n{first}labelloop submit {outputs} --loop {name}")


def _templates(settings: Settings) -> Mapping[str, str]:
    """Return the forms of Label Studio's own templates: of the connected one, or of the one on this machine."""
    from console.files import label_studio
    from labelloop.labelstudio.gateway import Gateway

    if settings.label_studio_url and settings.label_studio_token:
        with closing(Gateway(settings.label_studio_url, settings.label_studio_token)) as gateway:
            return label_studio.listed(gateway.templates())
    found = label_studio.installed()
    if not found:
        raise UsageError(
            "Label Studio's templates come from Label Studio: set LABELLOOP_LABEL_STUDIO_URL and "
            "LABELLOOP_LABEL_STUDIO_TOKEN, or install one with `labelloop up`"
        )
    return found


def _up_first(settings: Settings) -> str:
    is_there = settings.database_url or is_held(settings.data_dir)  # perhaps still starting
    return "" if is_there else "labelloop up                  # starts the services, in another terminal\n"


COMMANDS = (init,)
