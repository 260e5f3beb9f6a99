"""Names that sort as they were made, and paths that nobody can lead astray."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obswriter import (
    ParsedPath,
    file_naming,
    generate_directory_path,
    generate_file_path,
    get_processed_file_path,
    is_pending_file,
    parse_file_path,
)
from obswriter.file_naming import check_base_path, generate_file_name
from obswriter.vocabulary import EVENT_TYPES, EventType

NAME = "20260123T120000Z_0007b0123456.jsonl"

types = st.sampled_from(EVENT_TYPES)
projects = st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True).filter(lambda p: p != "processed")
folders = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1).filter(
    lambda folder: folder not in (".", "..")
)
bases = st.lists(folders | st.sampled_from(["processed", "span", "a"]), max_size=3).map("/".join)


@given(types, projects, bases)
def test_a_generated_path_is_read_back_pending_and_processed(
    type: EventType, project: str, base: str
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    path = generate_file_path(type, project, base)
    parsed = parse_file_path(path)
    assert parsed is not None
    assert (parsed.type, parsed.project_id, parsed.base_path) == (type, project, base)
    assert before < parsed.created_at < datetime.now(UTC) + timedelta(seconds=1)
    assert not parsed.processed
    assert path.endswith(f"/{parsed.file_name}")

    done = get_processed_file_path(path)
    assert done == path.removesuffix(parsed.file_name) + f"processed/{parsed.file_name}"
    after = parse_file_path(done)
    assert after is not None
    assert after.processed
    assert (after.pending_path, after.processed_path) == (path, done)
    assert (parsed.pending_path, parsed.processed_path) == (path, done)
    assert get_processed_file_path(done) == done
    assert (is_pending_file(path), is_pending_file(done)) == (True, False)


def test_a_name_has_the_contracts_form() -> None:
    assert re.fullmatch(r"\d{8}T\d{6}Z_[0-9a-f]{12}\.jsonl", generate_file_name())


def test_a_name_tells_the_moment_it_was_made_to_the_microsecond() -> None:
    parsed = parse_file_path(f"span/p/{NAME}")
    assert parsed == ParsedPath(
        base_path="",
        type="span",
        project_id="p",
        file_name=NAME,
        created_at=datetime(2026, 1, 23, 12, 0, 0, 0x0007B, UTC),
        processed=False,
    )


def test_names_sort_in_the_order_they_were_made() -> None:
    names = [generate_file_name() for _ in range(20_000)]
    assert names == sorted(names)
    assert len({name[:22] for name in names}) == len(names)  # by their stamps alone


def test_names_never_go_backwards_where_the_clock_does(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([5_000_000_999_000, 5_000_000_999_000, 4_000_000_000_000, 5_000_001_500_000])
    monkeypatch.setattr(file_naming.time, "time_ns", lambda: next(clock))
    monkeypatch.setattr(file_naming, "_last_stamp", 0)
    names = [generate_file_name() for _ in range(4)]
    assert names == sorted(names)
    assert [int(name[17:22], 16) for name in names] == [999, 1000, 1001, 1500]


def test_names_of_several_threads_differ_and_sort_within_each() -> None:
    made: list[list[str]] = [[] for _ in range(4)]
    start = threading.Barrier(4)

    def make(names: list[str]) -> None:
        start.wait()
        names += [generate_file_name() for _ in range(3000)]

    threads = [threading.Thread(target=make, args=(names,)) for names in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(names == sorted(names) for names in made)
    assert len({name[:22] for names in made for name in names}) == 12_000


@pytest.mark.parametrize("type", ["spans", "Span", "", "../etc", None, 5, ["span"]])
def test_a_path_for_no_event_type_is_refused(type: Any) -> None:
    for generate in (generate_file_path, generate_directory_path):
        with pytest.raises(ValueError, match="type must be one of trace, span, log"):
            generate(type, "p")


@pytest.mark.parametrize(
    "project", ["../../etc", "..", "a/b", "/a", ".a", "processed", "", "a\n", "a\0", "ä", None]
)
def test_a_path_for_no_project_is_refused(project: Any) -> None:
    for generate in (generate_file_path, generate_directory_path):
        with pytest.raises(ValueError, match="project_id must be"):
            generate("span", project)


@pytest.mark.parametrize(
    "name",
    ["", "x.jsonl", "../../etc/passwd", f"../{NAME}", f"{NAME}.open", f"{NAME}\n", NAME.upper()],
)
def test_a_path_for_no_name_of_ours_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"file_name must be one that generate_file_path\(\) made"):
        generate_file_path("span", "p", file_name=name)


def test_a_name_that_was_chosen_before_is_kept() -> None:
    assert generate_file_path("span", "p", "b", NAME) == f"b/span/p/{NAME}"


@pytest.mark.parametrize(
    ("given", "kept"), [("a", "a"), ("a/b", "a/b"), ("a/b/", "a/b"), ("", ""), ("...", "...")]
)
def test_a_base_path_is_folders_below_the_store(given: str, kept: str) -> None:
    assert check_base_path(given) == kept


@pytest.mark.parametrize(
    "base",
    ["/", "/a", "..", "../a", "a/..", "a/../b", ".", "./a", "a/.", "a//b", "a\0", "a\\b", None, 5],
)
def test_a_base_path_that_leaves_the_store_is_refused(base: Any) -> None:
    for check in (check_base_path, lambda value: generate_file_path("span", "p", value)):
        with pytest.raises(ValueError, match=r"base_path must be a relative path .*; got"):
            check(base)


def test_without_a_base_path_types_lie_at_the_top() -> None:
    assert generate_directory_path("span", "p", "") == "span/p"
    assert generate_directory_path("span", "p") == "observability/span/p"


@pytest.mark.parametrize(
    ("path", "base", "processed"),
    [
        (f"processed/span/p/{NAME}", "processed", False),
        (f"a/processed/span/p/{NAME}", "a/processed", False),
        (f"processed/span/p/processed/{NAME}", "processed", True),
        (f"log/q/span/p/{NAME}", "log/q", False),
        (f"/data/obs/span/p/{NAME}", "/data/obs", False),
        (f"s3://bucket/obs/span/p/processed/{NAME}", "s3://bucket/obs", True),
    ],
)
def test_processed_counts_only_right_above_the_name(path: str, base: str, processed: bool) -> None:
    parsed = parse_file_path(path)
    assert parsed is not None
    assert (parsed.base_path, parsed.type, parsed.project_id) == (base, "span", "p")
    assert parsed.processed is processed
    assert (parsed.processed_path if processed else parsed.pending_path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        NAME,
        f"p/{NAME}",
        f"processed/{NAME}",
        f"spans/p/{NAME}",
        f"xspan/p/{NAME}",
        f"span/processed/{NAME}",
        f"span/p/q/{NAME}",
        f"span/p/processed/processed/{NAME}",
        f"span/../{NAME}",
        f"span/p.q/{NAME}",
        f"span/{'p' * 129}/{NAME}",
        f"span/p/{NAME}.open",
        f"span/p/.{NAME}.0123.tmp",
        f"span/p/{NAME}\n",
        f"span/p/{NAME}.gz",
        "span/p/20260123T120000Z_0007b012345.jsonl",
        "span/p/20260123T120000Z_0007B0123456.jsonl",
        "span/p/20261323T120000Z_0007b0123456.jsonl",
        "span/p/20260123T120060Z_0007b0123456.jsonl",
        "span/p/20260123T120061Z_0007b0123456.jsonl",
        "span/p/00000123T120000Z_0007b0123456.jsonl",
        "span/p/20260123T120000Z_fffff0123456.jsonl",
        "span/p/٢0260123T120000Z_0007b0123456.jsonl",
    ],
)
def test_any_other_path_is_no_stored_file(path: str) -> None:
    assert parse_file_path(path) is None
    assert not is_pending_file(path)
    with pytest.raises(ValueError, match="not the path of a stored file"):
        get_processed_file_path(path)


@given(st.text())
def test_no_text_breaks_the_parser(path: str) -> None:
    assert parse_file_path(path) is None
    assert parse_file_path(f"{path}/span/p/{NAME}") is not None


def test_a_parsed_path_cannot_be_changed() -> None:
    parsed: Any = parse_file_path(f"span/p/{NAME}")
    with pytest.raises(AttributeError):
        parsed.project_id = "q"
