"""What is built and installed is what the two source roots hold, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from contextlib import chdir
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
PACKAGES: list[str] = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
IMPORT_NAMES = {Path(package).name for package in PACKAGES}


def requirement_name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return found[0].lower()


def folders_under_integrations() -> set[str]:
    folders = (ROOT / "integrations").iterdir()
    return {f"integrations/{f.name}" for f in folders if f.is_dir() and f.name.isidentifier()} - {
        "integrations/__pycache__"
    }


def test_wheel_lists_the_core_and_every_folder_under_integrations() -> None:
    assert sorted(PACKAGES) == sorted({"obswriter"} | folders_under_integrations())


def test_integrations_is_a_source_root_and_not_a_package() -> None:
    assert not (ROOT / "integrations" / "__init__.py").exists()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "__init__.py").is_file()
    assert (ROOT / package / "py.typed").is_file()


def test_exactly_three_packages_are_needed_at_run_time() -> None:
    names = {requirement_name(requirement) for requirement in PROJECT["dependencies"]}
    assert names == {"orjson", "fsspec", "contextvars-extras"}


def test_dependencies_have_lower_bounds_and_no_caps() -> None:
    extras = PROJECT["optional-dependencies"].values()
    for requirement in [*PROJECT["dependencies"], *(r for extra in extras for r in extra)]:
        if requirement_name(requirement) != "obswriter":
            assert re.fullmatch(r"[a-z0-9.-]+>=[0-9.]+", requirement), requirement


def test_all_brings_every_extra_but_the_demo() -> None:
    extras = set(PROJECT["optional-dependencies"])
    (everything,) = PROJECT["optional-dependencies"]["all"]
    named = re.fullmatch(r"obswriter\[(.+)\]", everything)
    assert named
    assert set(named[1].split(",")) == extras - {"all", "demo"}


def test_changelog_says_what_the_next_release_brings() -> None:
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel and the sdist of this checkout, built without a network."""
    build = pytest.importorskip("hatchling.build")
    directory = tmp_path_factory.mktemp("dist")
    with chdir(ROOT):
        build.build_wheel(str(directory))
        build.build_sdist(str(directory))
    return directory


def wheel_members(built: Path) -> list[str]:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_built_wheel_holds_the_packages_at_its_top(built: Path) -> None:
    tops = {name.split("/")[0] for name in wheel_members(built)}
    assert {top for top in tops if not top.endswith(".dist-info")} == IMPORT_NAMES


def test_built_wheel_holds_every_marker_and_the_licence(built: Path) -> None:
    members = wheel_members(built)
    assert {f"{name}/py.typed" for name in IMPORT_NAMES} <= set(members)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in members)


def test_built_sdist_holds_no_work_directory(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        paths = [Path(name).relative_to(Path(name).parts[0]) for name in archive.getnames()]
    tops = {path.parts[0] for path in paths if path.parts}
    assert {"obswriter", "integrations", "tests", "pyproject.toml", "LICENSE"} <= tops
    assert {top for top in tops if top.startswith(".")} <= {".ci", ".gitignore"}
    assert not any("__pycache__" in path.parts for path in paths)


@pytest.fixture(scope="module")
def installed() -> metadata.Distribution:
    """The distribution under test, where it was installed from a wheel as tox does it."""
    try:
        distribution = metadata.distribution("obswriter")
    except metadata.PackageNotFoundError:
        pytest.skip("obswriter runs from its sources here; tox tests the installed wheel")
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        pytest.skip("obswriter is installed as editable here; tox tests the installed wheel")
    return distribution


def test_installed_files_belong_to_the_packages(installed: metadata.Distribution) -> None:
    tops = {path.parts[0] for path in installed.files or []}
    assert {top for top in tops if top != ".." and not top.endswith(".dist-info")} == IMPORT_NAMES


def test_installed_metadata_has_the_three_requirements(installed: metadata.Distribution) -> None:
    needed = [r for r in installed.requires or [] if "extra ==" not in r]
    assert {requirement_name(r) for r in needed} == {"orjson", "fsspec", "contextvars-extras"}


def test_command_is_installed(installed: metadata.Distribution) -> None:
    commands = {e.name: e.value for e in installed.entry_points if e.group == "console_scripts"}
    assert commands == {"obswriter": "obswriter.cli:main"}


def test_integrations_cannot_be_imported_where_the_wheel_is_installed(
    installed: metadata.Distribution, tmp_path: Path
) -> None:
    code = "import importlib.util as u; print(u.find_spec('integrations'))"
    child = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == "None"


def test_the_wheel_and_not_the_checkout_is_under_test(installed: metadata.Distribution) -> None:
    import obswriter

    assert Path(obswriter.__file__).is_relative_to(Path(str(installed.locate_file(""))))
