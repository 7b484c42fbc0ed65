"""Real money is spent only by who names a platform and holds a token."""

import pytest

from tideflow.connectors.inventory import platform

TOKEN = {"DIGITALOCEAN_ACCESS_TOKEN": "canary-token"}
NAME = {"TIDEFLOW_PLATFORM": "production"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "@rehearsal/ml-platform"),
        (TOKEN, "@rehearsal/ml-platform"),
        (NAME, "@rehearsal/production"),
        (NAME | {"DIGITALOCEAN_ACCESS_TOKEN": " "}, "@rehearsal/production"),
        (TOKEN | {"TIDEFLOW_PLATFORM": ""}, "@rehearsal/ml-platform"),
        (TOKEN | NAME, "@doks/production"),
    ],
)
def test_which_platform(
    environment: dict[str, str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both variables make it real; the first line says which it is, and never the token."""
    assert platform(environment) == expected
    said = capsys.readouterr()
    assert said.out == ""
    assert ("rehearsal" in said.err) == ("@rehearsal" in expected)
    assert "canary" not in said.err


def test_a_token_that_is_not_used_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Who has doctl's variable set learns why nothing happens at DigitalOcean."""
    platform(TOKEN)
    assert "DIGITALOCEAN_ACCESS_TOKEN is set but not used" in capsys.readouterr().err
