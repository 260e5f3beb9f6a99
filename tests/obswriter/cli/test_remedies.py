"""The command that a waiting spool needs can be pasted into a shell."""

from __future__ import annotations

import importlib.util

from obswriter.cli.remedies import remedy_for


def test_an_endpoint_becomes_a_variable() -> None:
    remedy = remedy_for("file:///data@http://localhost:9000", "base", None)
    assert remedy.startswith("AWS_ENDPOINT_URL=http://localhost:9000 obswriter recover ")
    assert "--storage file:///data --base-path base" in remedy


def test_words_with_spaces_are_quoted() -> None:
    remedy = remedy_for("file:///my%20data/'x'", "a b", "/my spool")
    assert remedy.startswith("OBSWRITER_SPOOL_DIR='/my spool' ")
    assert "--base-path 'a b'" in remedy


def test_a_missing_file_system_is_named_with_its_extra(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'obswriter[s3]'" in remedy_for("s3://bucket/x", "b", None)
    assert "pip install 'obswriter[gcs]'" in remedy_for("gs://bucket/x", "b", None)
    assert "pip install" not in remedy_for("file:///x", "b", None)
