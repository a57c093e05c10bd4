"""The commands that keep everything in a folder and bring it back: backup, restore."""

from __future__ import annotations

from pathlib import Path

import click

from console.cli.output import show, to_stderr
from console.cli.wrappers import as_json_too, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

key_file = click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the key that encrypts the backup, at least 16 bytes: openssl rand -base64 32 > NEW_FILE",
)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@key_file
@click.option("--label-studio-database", default="", metavar="URL", help="Database of a Label Studio of your own.")
@as_json_too
@with_settings
def backup(settings: Settings, folder: Path, key_file: Path | None, label_studio_database: str, as_json: bool) -> None:
    """Write both databases, models, loops, settings and Label Studio's files into the new FOLDER, while all runs.

    The settings hold passwords and tokens: encrypt the backup, or keep it where you keep passwords.
    """
    from console.keeping.backup import write

    manifest = write(settings, folder, key_file, label_studio_database, to_stderr)
    size = sum(file["bytes"] for file in manifest.files.values())
    show(
        {
            "folder": str(folder),
            "encrypted": key_file is not None,
            "megabytes": round(size / 1e6, 1),
            "label_studio": manifest.label_studio or "not included",
            "outputs": manifest.loops,
        },
        as_json,
    )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@key_file
@click.option("--data-dir", type=click.Path(path_type=Path), help="New data folder, with which `labelloop up` goes on.")
@click.option("--database", default="", metavar="URL", help="Instead: an empty database for labelloop's tables.")
@click.option("--label-studio-database", default="", metavar="URL", help="Instead: an empty one for Label Studio's.")
@click.option("--models-dir", type=click.Path(path_type=Path), help="With --database: folder of the models.")
@as_json_too
def restore(
    folder: Path,
    key_file: Path | None,
    data_dir: Path | None,
    database: str,
    label_studio_database: str,
    models_dir: Path | None,
    as_json: bool,
) -> None:
    """Restore the backup in FOLDER into a new data folder, or into empty databases.

    Every file is checked before anything is written: a wrong key or a changed byte is refused.
    """
    from console.keeping import restore as restoring

    if (data_dir is None) == (not database and not label_studio_database):
        raise UsageError("give --data-dir FOLDER, or --database URL and --label-studio-database URL, or one of the two")
    if data_dir is not None:
        manifest = restoring.into_folder(folder, key_file, data_dir.absolute(), to_stderr)
        to_stderr(f"go on with: labelloop up --data-dir {data_dir} --loops-dir {data_dir}/labeling_configs")
    else:
        into = restoring.Databases(database, label_studio_database)
        manifest = restoring.into_databases(folder, key_file, into, models_dir)
    show({"from": manifest.at, "labelloop": manifest.labelloop, "outputs": manifest.loops}, as_json)


COMMANDS = (backup, restore)
