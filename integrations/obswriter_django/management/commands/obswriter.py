"""``manage.py obswriter …``: the command line, looking where the settings have events stored."""

import os
import sys

from django.core.management.base import BaseCommand

from obswriter.cli import WRONG_INPUT, main
from obswriter_django.conf import conf

LOOKED_FOR = ("FILE_STORAGE", "BASE_PATH", "PROJECT_ID", "SPOOL_DIR")


class Command(BaseCommand):
    """Hands everything on, ``--help`` too; variables come before settings."""

    help = "Look at what obswriter recorded, and tidy it up."

    def run_from_argv(self, argv: list[str]) -> None:
        """Run with the arguments as they were written."""
        unusable = _look_where_settings_say()
        if unusable:
            self.stderr.write(unusable)
        sys.exit(WRONG_INPUT if unusable else main(argv[2:]))


def _look_where_settings_say() -> str:
    """Set the variables that the command line knows; return what is wrong, or an empty text."""
    for key in LOOKED_FOR:
        value = conf.options.get(key)
        if value is None or os.environ.get(f"OBSWRITER_{key}"):
            continue
        if not isinstance(value, str | os.PathLike):
            return (
                f"OBSWRITER[{key!r}] is {value!r}, which no command line can open; "
                f"set OBSWRITER_{key} to a path or a URL"
            )
        os.environ[f"OBSWRITER_{key}"] = os.fspath(value)
    return ""
