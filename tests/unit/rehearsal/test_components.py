"""What the components are started with; that they accept it is among the integration tests."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from tideflow.rehearsal.components import Settings, launches


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a cluster."""
    return Settings(
        folder=tmp_path / "cluster",
        sockets=tmp_path / "sockets",
        port=20443,
        binaries=Path("/programs"),
        token_review_url="http://127.0.0.1:1/review",
        audit_log=tmp_path / "audit" / "audit.log",
        pod_ready_seconds=(1.0, 4.0),
    )


def stages(settings: Settings) -> dict[str, Any]:
    """Return kwok's stages by name."""
    launches(settings)
    text = (settings.folder / "stages.yaml").read_text()
    return {stage["metadata"]["name"]: stage["spec"] for stage in yaml.safe_load_all(text)}


def test_asking_again_changes_nothing(settings: Settings) -> None:
    """Certificates are made once: what runs is not restarted for nothing."""
    before = {name: launch.fingerprint for name, launch in launches(settings).items()}
    assert {name: launch.fingerprint for name, launch in launches(settings).items()} == before


@pytest.mark.parametrize(
    ("damaged", "restarted"),
    [
        ("admin.crt", set()),
        ("kube-scheduler.key", set()),
        ("kube-apiserver.crt", {"kube-apiserver"}),
        ("kube-apiserver.key", {"kube-apiserver"}),
        ("service-accounts.pub", set()),
        ("service-accounts.key", {"kube-apiserver", "kube-controller-manager"}),
    ],
)
def test_damaged_certificates_and_keys_are_made_anew(
    settings: Settings, damaged: str, restarted: set[str]
) -> None:
    """Those of the authority apart: all others are its to issue. Who has read them is restarted."""
    before = {name: launch.fingerprint for name, launch in launches(settings).items()}
    file = settings.folder / "pki" / damaged
    file.write_bytes(b"\xff soup")
    after = {name: launch.fingerprint for name, launch in launches(settings).items()}
    assert file.read_text().startswith("-----BEGIN ")
    assert {name for name in before if before[name] != after[name]} == restarted


@pytest.mark.parametrize(
    ("change", "restarted"),
    [
        ({"pod_ready_seconds": (8.0, 24.0)}, {"kwok"}),
        ({"realistic": True}, {"kwok", "stand-ins"}),
        ({"token_review_url": "http://127.0.0.1:2/review"}, {"kube-apiserver"}),
        (
            {"port": 20444},
            {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "stand-ins"},
        ),
        ({"sockets": Path("/run/user/1/tideflow-1")}, {"etcd", "kube-apiserver"}),
    ],
)
def test_a_change_concerns_those_who_read_it(
    settings: Settings, change: dict[str, Any], restarted: set[str]
) -> None:
    """Fingerprints tell which components have to be restarted."""
    before = {name: launch.fingerprint for name, launch in launches(settings).items()}
    after = {
        name: launch.fingerprint for name, launch in launches(dataclasses.replace(settings, **change)).items()
    }
    assert {name for name in before if before[name] != after[name]} == restarted


def test_no_key_is_in_a_command_or_readable_by_others(settings: Settings) -> None:
    """Command lines are for everybody to see; files are not."""
    for launch in launches(settings).values():
        assert "PRIVATE" not in " ".join(launch.command)
    files = [path for path in settings.folder.rglob("*") if path.is_file()]
    assert any("PRIVATE KEY" in file.read_text() for file in files)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


@pytest.mark.parametrize(
    ("seconds", "delay"), [((1.0, 4.0), (500, 3500)), ((8.0, 24.0), (7500, 23500)), ((0.0, 0.0), (0, 0))]
)
def test_pods_get_ready_in_the_seconds_that_are_set(
    settings: Settings, seconds: tuple[float, float], delay: tuple[int, int]
) -> None:
    """The time in which a pod is accepted, half a second, is part of them."""
    found = stages(dataclasses.replace(settings, pod_ready_seconds=seconds))
    assert found["pod-accepted"]["delay"] == {"durationMilliseconds": 500}
    for stage in ("pod-ready", "pod-crashes"):
        assert found[stage]["delay"]["durationMilliseconds"] == delay[0]
        assert found[stage]["delay"]["jitterDurationMilliseconds"] == delay[1]


def test_databases_are_late_in_the_realistic_pace_only(settings: Settings) -> None:
    """By the names of their pods; every other pod takes as long as set."""
    quick, realistic = (
        stages(dataclasses.replace(settings, realistic=found))["pod-ready"]["delay"]["durationFrom"]["jq"]
        for found in (False, True)
    )
    assert "mysql" not in quick["expression"]
    assert 'test("^(katib-)?(mysql|postgres)") then "100s"' in realistic["expression"]
