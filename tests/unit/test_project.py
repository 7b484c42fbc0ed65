"""What the documentation names is there."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tideflow.cli import main

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
DOCUMENTS = [
    PROJECT / "README.md",
    PROJECT / "CHANGELOG.md",
    PROJECT / "vendored" / "sample" / "README.md",
    *sorted((PROJECT / "docs").glob("*.md")),
]


def test_make_has_the_targets_that_are_named_and_lists_them() -> None:
    """Every `make …` of the README is a target with a line in the help."""
    named = set(re.findall(r"(?:`|\$ )make ([a-z]+)", README))
    listed = set(re.findall(r"^([a-z]+):.*## ", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert {"rehearse", "test", "vendor", "stop", "clean"} <= named <= listed


def test_the_command_has_the_subcommands_that_are_named() -> None:
    """Every `tideflow …` of the README can be called with the options that are shown."""
    named = set(re.findall(r"tideflow ([a-z]+(?: (?:start|stop|status))?)(?: (--[a-z]+))?", README))
    called = {found for found in named if found[0].split()[0] in {"vendor", "rehearsal", "twin"}}
    assert called
    for command, option in called:
        shown = CliRunner().invoke(main, [*command.split(), "--help"])
        assert shown.exit_code == 0, command
        assert option in shown.output


def test_the_settings_are_those_of_group_data() -> None:
    """The README's table has every setting, and no other."""
    table = README.partition("| setting | default | |")[2].partition("\n\n")[0]
    documented = {
        name
        for row in table.splitlines()
        for name in re.findall(r"`([a-z_]+)`", row.split("|")[1:2][0] if row else "")
    }
    settings = re.findall(r"^([a-z_]+) = ", (PROJECT / "group_data" / "all.py").read_text(), re.MULTILINE)
    assert documented == set(settings)


def test_the_steps_are_those_of_deploys() -> None:
    """The README's table has every step, in the order in which all.py runs them; the end is run by itself."""
    documented = re.findall(r"^\| `deploys/([a-z_]+)\.py` ", README, re.MULTILINE)
    order = re.search(r"\(([^)]*)\)\nfor _step", (PROJECT / "deploys" / "all.py").read_text())
    assert order is not None
    assert documented == [*re.findall(r'"([a-z_]+)"', order[1]), "teardown"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link is to a file of the project."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
