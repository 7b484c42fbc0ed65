"""People beside the owner: let in with a password of their own, and locked out once they are removed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import bcrypt
import pytest
from tests.integration.deploying import Checkout
from tests.integration.logging_in import enter, refused

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.usefixtures("binaries", "auth_proxy")

HOST, ADA, PASSWORD = "kubeflow.localhost", "ada@example.org", "a password of Ada's"
STEPS = ("deploys/kubeflow_base.py", "deploys/auth.py", "deploys/credentials.py")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Deploy everything once, for the owner alone."""
    checkout = Checkout.make(tmp_path_factory.mktemp("people"))
    checkout.platform.mkdir(parents=True)
    (checkout.platform / "sample-base").touch()
    try:
        checkout.pyinfra("deploys/all.py", TIDEFLOW_PASSWORD="the owner's own")
        yield checkout
    finally:
        checkout.stop()


def users(checkout: Checkout, text: str) -> None:
    """Have the setting, for good."""
    (checkout.folder / "group_data" / "ml-platform.py").write_text(f"users = {text}\n")


def test_people_come_and_go(checkout: Checkout) -> None:
    """Each has a Profile; who is removed is out, sessions too, and the Profile stays."""
    found = re.search(r"https://kubeflow\.localhost:(\d+)", checkout.pyinfra("deploys/status.py"))
    assert found is not None
    address = f"https://127.0.0.1:{found[1]}"

    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    users(checkout, f"[{{'email': '{ADA}', 'hash': '{hashed}'}}]")
    printed = checkout.pyinfra("deploys/auth.py", check=False)
    assert "Dex's configuration has others than the setting users" in printed
    printed = checkout.pyinfra(*STEPS)
    assert hashed not in printed
    profile = checkout.get("profile", "ada-example-org")
    assert profile["spec"]["owner"] == {"kind": "User", "name": ADA}
    ada = enter(address, HOST, ADA, PASSWORD)
    enter(address, HOST, "user@example.com", "the owner's own")
    mark = checkout.mark()
    assert "] Success" not in checkout.pyinfra(*STEPS)
    assert checkout.writes(mark) == []

    users(checkout, "[]")
    printed = checkout.pyinfra(*STEPS)
    assert f"{ADA} is locked out; the Profile stays" in printed
    assert "Profile ada-example-org" in printed
    assert ada.get("/").status_code == 403
    enter(address, HOST, "user@example.com", "the owner's own")
    assert refused(address, HOST, ADA, PASSWORD)
    assert checkout.get("profile", "ada-example-org")
    data = checkout.get("secret", "-n", "auth", "dex-passwords")["data"]
    assert data.keys() == {"DEX_USER_PASSWORD"}


def test_a_profile_of_somebody_else_is_refused(checkout: Checkout) -> None:
    """Its owner is not changed in place; the message says what to do."""
    users(checkout, "['ada@example-org']")
    printed = checkout.pyinfra("deploys/auth.py", check=False)
    assert "has what is no e-mail address" in printed
    users(checkout, "['kubeflow-user@example.com']")
    printed = checkout.pyinfra("deploys/auth.py", check=False)
    assert "kubeflow-user@example.com, in the setting users, would have the Profile kubeflow-user" in printed
    profile = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Profile",
        "metadata": {"name": "eve-example-org"},
        "spec": {"owner": {"kind": "User", "name": "Eve@example.org"}},
    }
    (checkout.folder / "profile.json").write_text(json.dumps(profile))
    checkout.kubectl("apply", "-f", str(checkout.folder / "profile.json"))
    users(checkout, "['eve@example.org']")
    printed = checkout.pyinfra("deploys/auth.py", check=False)
    assert (
        "the Profile eve-example-org is Eve@example.org's, in these letters; write Eve@example.o" in printed
    )
    users(checkout, "['eve-example@org.org', 'eve@example-org.org']")
    printed = checkout.pyinfra("deploys/auth.py", check=False)
    assert "two of the setting users have the Profile eve-example-org-org" in printed
    users(checkout, "[]")
