"""What it takes to recover the spool of another store."""

import importlib.util
import os
import re
import shlex

from obswriter.spool_directory import FORMAT_VERSION

_EXTRAS = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs"), "gcs": ("gcsfs", "gcs")}


def remedy_for(
    destination: str,
    base_path: str,
    spool_dir: str | os.PathLike[str] | None,
    format: object = FORMAT_VERSION,
) -> str:
    """Return the command that recovers what waits for a destination, or who else can."""
    if format != FORMAT_VERSION:
        return f"written by another version of obswriter (format {format}): recover it with that"
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)", destination):
        return f"only a program whose file_storage is a {destination} can store it: start that"
    url, _, endpoint = destination.partition("@http")
    words = ["obswriter", "recover", "--storage", url, "--base-path", base_path]
    settings = {"OBSWRITER_SPOOL_DIR": os.fspath(spool_dir) if spool_dir else ""}
    settings["AWS_ENDPOINT_URL"] = f"http{endpoint}" if endpoint else ""
    assignments = [f"{name}={shlex.quote(text)}" for name, text in settings.items() if text]
    command = " ".join([*assignments, shlex.join(words)])
    return f"{command}{_missing(url.partition(':')[0])}"


def _missing(protocol: str) -> str:
    module, extra = _EXTRAS.get(protocol, ("", ""))
    if not module or importlib.util.find_spec(module) is not None:
        return ""
    return f"   (after: pip install 'obswriter[{extra}]')"
