"""The step that makes the hostname's record, or waits for it, against the twin's API and its name server."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from tests.integration.deploying import Checkout
from tests.integration.planes import eventually

from tideflow.clients.digitalocean import DigitalOcean
from tideflow.clients.domains import Record
from tideflow.rehearsal.background import Rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("binaries")

ZONE = "example.com"
NAME = f"kubeflow.{ZONE}"
MARK = f"_tideflow.{NAME}"
THEIRS = "198.51.100.1"
IN_ZONE = ("--data", f"dns_zone={ZONE}")
TOLD = "service.beta.kubernetes.io/do-loadbalancer-hostname"
SERVICE = ("service", "-n", "ingress-nginx", "ingress-nginx-controller")
REMOVING = """
from tideflow.operations import dns
from tideflow.operations.running import platform

dns.remove(platform(), dns.ours(platform()))
"""


class Account:
    """A checkout with a cluster that has a load balancer, and the twin's account."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.twin = Rehearsal(checkout.platform / "rehearsal")
        self.api = DigitalOcean(self.twin.token, endpoint=self.twin.endpoint)
        (self.address,) = self.reached()

    def reached(self) -> list[str]:
        """Return the addresses or names of the load balancer."""
        ingress = self.checkout.get(*SERVICE)["status"]["loadBalancer"]["ingress"]
        return [entry.get("ip") or entry["hostname"] for entry in ingress]

    def reach(self, *, ip: str = "", hostname: str = "") -> None:
        """Have the load balancer another address, or be told by a name in its place."""
        annotation = f"{TOLD}={hostname}" if hostname else f"{TOLD}-"
        self.checkout.kubectl("annotate", "--overwrite", *SERVICE, annotation)
        eventually(self.reached, lambda told: hostname in told if hostname else told[0][-1].isdigit())
        if ip:
            status = {"status": {"loadBalancer": {"ingress": [{"ip": ip}]}}}
            how = ("--subresource=status", "--type=merge", f"-p={json.dumps(status)}")
            self.checkout.kubectl("patch", *SERVICE, *how)

    def records(self) -> list[tuple[str, str, str]]:
        """Return type, name and data of the zone's records, those of its servers apart."""
        found = self.api.records(ZONE) or []
        return sorted((there.type, there.name, there.data) for there in found if there.type != "NS")

    def ours(self, data: str, kind: str = "A") -> list[tuple[str, str, str]]:
        """Return what the zone has once the step has made the record."""
        return sorted([(kind, NAME, data), ("TXT", MARK, f"tideflow platform=ml-platform {kind} {data}")])

    def add(self, data: str, *, kind: str = "A", name: str = NAME) -> None:
        """Have somebody make a record."""
        self.api.create_record(ZONE, Record(type=kind, name=name, data=data, ttl=1800))

    def asked(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Ask the twin for what our client does not."""
        headers = {"Authorization": f"Bearer {self.twin.token}"}
        base = self.twin.endpoint.removesuffix("/v2/")
        answer = requests.request(method, base + path, json=body, headers=headers, timeout=30)
        answer.raise_for_status()
        return answer

    def rules(self) -> list[Any]:
        """Return the rules of failing that have not been followed yet."""
        found: list[Any] = self.asked("GET", "/rehearsal/faults").json()["rules"]
        return found

    def fail(self, *rules: dict[str, Any]) -> None:
        """Have the twin fail when records are made or changed."""
        path = f"/v2/domains/{ZONE}/records*"
        self.asked("PUT", "/rehearsal/faults", {"rules": [{"path": path, **rule} for rule in rules]})

    def run(self, *arguments: str, how: str = "-y", step: str = "dns", **environment: str) -> tuple[int, str]:
        """Run the step, and return its exit status and what was printed, without the prefixes."""
        done = self.checkout.run(
            "pyinfra", how, "inventory.py", f"deploys/{step}.py", *arguments, check=False, **environment
        )
        printed = (done.stdout + done.stderr).replace("[@rehearsal/ml-platform] ", "")
        assert "Traceback" not in printed
        assert "defect" not in printed
        assert self.twin.token not in printed
        return done.returncode, printed

    def settled(self, *arguments: str) -> None:
        """Run the step, which has nothing to do."""
        before = self.api.records(ZONE)
        status, printed = self.run(*arguments)
        assert status == 0, printed
        assert "No changes" in printed
        assert self.api.records(ZONE) == before


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Yield an account whose cluster has a load balancer."""
    checkout = Checkout.make(tmp_path_factory.mktemp("dns"))
    try:
        checkout.pyinfra("deploys/cluster.py", "deploys/load_balancer.py")
        yield Account(checkout)
    finally:
        checkout.stop()


@pytest.fixture
def account(made: Account) -> Iterator[Account]:
    """Yield the same for a test of its own: with a zone without records, and nothing failing."""
    made.api.create_domain(ZONE)
    yield made
    made.asked("DELETE", "/rehearsal/faults")
    for zone in made.api.domains():
        made.asked("DELETE", f"/v2/domains/{zone}")
    if made.reached() != [made.address]:
        made.reach(ip=made.address)


def test_the_record_is_made_once(account: Account) -> None:
    """As --dry said; a rerun finds it, from another machine too, and the status has a line of it."""
    status, printed = account.run(*IN_ZONE, how="--dry")
    assert status == 0
    assert f'would create the record {MARK}. 60 IN TXT "tideflow platform=ml-platform A' in printed
    assert f"would create the record {NAME}. 60 IN A {account.address}" in printed
    assert "would wait up to 5 minutes until name servers tell" in printed
    assert account.records() == []
    status, printed = account.run(*IN_ZONE)
    assert status == 0, printed
    assert f"{NAME} is {account.address} (ns1.digitalocean.com)" in printed
    assert account.records() == account.ours(account.address)
    for file in account.checkout.platform.iterdir():
        if file.name != "rehearsal" and file.is_file():
            file.unlink()
    account.settled(*IN_ZONE)
    assert f"DNS         {NAME} is {account.address}" in account.run(*IN_ZONE, step="status")[1]


def test_a_record_follows_the_load_balancer(account: Account) -> None:
    """To another address, to a name, and back; nothing of what was before is left."""
    account.run(*IN_ZONE)
    for form, goal, kind in (
        ("ip", "203.0.113.77", "A"),
        ("hostname", "lb.example.net", "CNAME"),
        ("ip", "203.0.113.78", "A"),
    ):
        account.reach(**{form: goal})
        status, printed = account.run(*IN_ZONE)
        assert status == 0, printed
        assert account.records() == account.ours(goal, kind)
        account.settled(*IN_ZONE)


def test_a_load_balancer_that_is_named_as_the_hostname_is_no_circle(account: Account) -> None:
    """Its address is then the API's to tell."""
    account.reach(hostname=NAME)
    status, printed = account.run(*IN_ZONE)
    assert status == 0, printed
    assert account.records() == account.ours(account.address)
    account.settled(*IN_ZONE)


def test_a_wildcard_is_made_and_removed_by_a_setting(account: Account) -> None:
    """With a mark of its own."""
    status, printed = account.run(*IN_ZONE, "--data", "dns_wildcard=true")
    assert status == 0, printed
    assert f" {NAME} is {account.address} (ns1.digitalocean.com)" in printed
    assert ("A", f"*.{NAME}", account.address) in account.records()
    assert len(account.records()) == 4
    account.settled(*IN_ZONE, "--data", "dns_wildcard=true")
    assert f"would delete the record *.{NAME}." in account.run(*IN_ZONE, how="--dry")[1]
    account.run(*IN_ZONE)
    assert account.records() == account.ours(account.address)


@pytest.mark.parametrize(
    "theirs",
    [[("A", THEIRS), ("A", "198.51.100.2")], [("CNAME", "other.example.org")]],
)
def test_records_of_others_are_left_and_named(account: Account, theirs: list[tuple[str, str]]) -> None:
    """With the setting that replaces them, which does."""
    for kind, data in theirs:
        account.add(data, kind=kind)
    before = account.api.records(ZONE)
    for how in ("--dry", "-y"):
        status, printed = account.run(*IN_ZONE, how=how)
        assert status == 1
        for kind, data in theirs:
            assert f"{NAME}. 1800 IN {kind} {data}" in printed
        assert "--data dns_overwrite=true" in printed
        assert account.api.records(ZONE) == before
    status, printed = account.run(*IN_ZONE, "--data", "dns_overwrite=true")
    assert status == 0, printed
    assert account.records() == account.ours(account.address)
    account.settled(*IN_ZONE)


def test_a_record_that_others_made_right_is_theirs(account: Account) -> None:
    """It is as it should be, and not ours to remove."""
    account.add(account.address)
    account.settled(*IN_ZONE)
    assert account.records() == [("A", NAME, account.address)]


def test_another_platform_s_record_is_named_as_its(account: Account) -> None:
    """Two platforms with one hostname are a mistake of somebody's."""
    account.add(THEIRS)
    account.add(f"tideflow platform=team-b A {THEIRS}", kind="TXT", name=MARK)
    status, printed = account.run(*IN_ZONE)
    assert status == 1
    assert f"{NAME}. 1800 IN A {THEIRS} (of the platform team-b)" in printed


@pytest.mark.parametrize("passed", [0, 1])
def test_a_run_that_is_killed_is_finished_by_the_next(account: Account, passed: int) -> None:
    """With no record twice, and none that is nobody's."""
    slow: dict[str, Any] = {"method": "POST", "delay": 2.0}
    account.fail(*([{"method": "POST"}] * passed), slow)
    process = account.checkout.begin("pyinfra", "-y", "inventory.py", "deploys/dns.py", *IN_ZONE)
    try:
        if passed:
            eventually(account.records, bool)
        else:
            eventually(account.rules, lambda rules: not rules)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    status, printed = account.run(*IN_ZONE)
    assert status == 0, printed
    time.sleep(slow["delay"])  # until what the killed run has asked for is carried out as well
    account.run(*IN_ZONE)
    assert account.records() == account.ours(account.address)
    account.settled(*IN_ZONE)


def test_lost_answers_and_failures_are_got_over(account: Account) -> None:
    """Each record is made once."""
    account.fail(
        {"method": "POST", "cut": True, "carried_out": True},
        {"method": "POST", "status": 503},
        {"method": "GET", "status": 429, "retry_after": 0, "times": 2},
    )
    status, printed = account.run(*IN_ZONE)
    assert status == 0, printed
    assert account.records() == account.ours(account.address)
    account.reach(ip="203.0.113.77")
    account.fail({"method": "PUT", "cut": True, "carried_out": True}, {"method": "DELETE", "status": 500})
    assert account.run(*IN_ZONE)[0] == 0
    assert account.records() == account.ours("203.0.113.77")


def test_a_zone_that_is_delegated_elsewhere_is_not_waited_for(account: Account) -> None:
    """The record is made; the error names the servers, and what to set."""
    for found in account.api.records(ZONE) or ():
        path = f"/v2/domains/{ZONE}/records/{found.id}"
        account.asked("PUT", path, {"type": "NS", "data": "ns1.registrar.example."})
    # Who answers for the hostname here, before the zone that the record is in.
    account.api.create_domain(NAME)
    status, printed = account.run(*IN_ZONE)
    assert status == 1
    assert account.records() == account.ours(account.address)
    assert "waiting" not in printed
    assert (
        f"{ZONE} is delegated to ns1.registrar.example, and not to DigitalOcean"
        in printed.rpartition("created")[2]
    )
    assert "set the name servers ns1.digitalocean.com, ns2.digitalocean.com, ns3.digitalocean.com" in printed


def test_a_domain_that_the_account_does_not_have_is_told_before_anything_is_made(account: Account) -> None:
    """A real platform's is never made; how to add it is said."""
    real = {
        "TIDEFLOW_PLATFORM": "other",
        "DIGITALOCEAN_ACCESS_TOKEN": account.twin.token,
        "DIGITALOCEAN_END_POINT": account.twin.endpoint,
    }
    own = ("--data=hostname=ml.example.org", "--data=email=me@example.org", "--data=tls=self-signed")
    steps = ("deploys/load_balancer.py", "deploys/dns.py")
    status, printed = account.run(
        *steps, *own, "--data", "dns_zone=example.org", step="cluster", how="--dry", **real
    )
    assert status == 1
    assert "the account has no domain example.org, which the setting dns_zone names" in printed
    assert "doctl compute domain create example.org" in printed
    account.add(THEIRS, name=f"ml.{ZONE}")
    status, printed = account.run(
        *steps, *own, *IN_ZONE, "--data", f"hostname=ml.{ZONE}", step="cluster", **real
    )
    assert status == 1
    assert f"ml.{ZONE}. 1800 IN A {THEIRS}" in printed
    assert [cluster.name for cluster in account.api.clusters()] == ["ml-platform"]


def test_without_a_zone_the_record_is_said_and_waited_for(account: Account) -> None:
    """Who makes it, whenever, is told what is still wrong; the next run goes on from there."""
    own = ("--data", "hostname=kubeflow.my-company.com")
    status, printed = account.run(*own)
    assert status == 0, printed
    assert f"kubeflow.my-company.com. 60 IN A {account.address}" in printed
    waiting = (*own, "--data", "dns_wait_minutes=0.05")
    assert "would wait up to 0.05 minutes until" in account.run(*waiting, how="--dry")[1]
    status, printed = account.run(*waiting)
    assert status == 1
    assert "no name server is known for kubeflow.my-company.com" in printed
    assert "make that record, then go on: " in printed

    account.api.create_domain("my-company.com")
    there = Record(type="A", name="kubeflow.my-company.com", data=THEIRS, ttl=1800)
    account.api.create_record("my-company.com", there)
    status, printed = account.run(*waiting)
    assert status == 1
    assert "make this record at the name servers of my-company.com (ns1.digitalocean.com, " in printed
    assert f"kubeflow.my-company.com is {THEIRS} (ns1.digitalocean.com)" in printed

    process = account.checkout.begin(
        "pyinfra", "-y", "inventory.py", "deploys/dns.py", *own, "--data", "dns_wait_minutes=1"
    )
    with process:
        assert process.stderr is not None
        printed = ""
        while "waiting 0 s for the record" not in printed:
            line = process.stderr.readline()
            assert line, printed
            printed += line
        (found,) = [record for record in account.api.records("my-company.com") or () if record.type == "A"]
        account.api.change_record("my-company.com", replace(found, data=account.address))
        printed += process.stderr.read()
    assert process.returncode == 0, printed
    assert f"kubeflow.my-company.com is {account.address}" in printed
    assert "No changes" in account.run(*waiting)[1]


def test_what_is_ours_is_found_and_removed(account: Account) -> None:
    """By the marks alone, though the settings have changed since; nothing else goes."""
    account.run(*IN_ZONE, "--data", "dns_wildcard=true")
    account.add(THEIRS, name=f"other.{ZONE}")
    (account.checkout.folder / "deploys" / "removing.py").write_text(REMOVING)
    status, printed = account.run("--data", "hostname=ml.elsewhere.org", step="removing")
    assert status == 0, printed
    assert f"deleted the record {NAME}. 60 IN A {account.address}" in printed
    assert account.records() == [("A", f"other.{ZONE}", THEIRS)]
    assert "deleted" not in account.run("--data", "hostname=ml.elsewhere.org", step="removing")[1]


def test_a_first_run_says_the_record_before_there_is_an_address(tmp_path: Path) -> None:
    """In --dry, from nothing."""
    checkout = Checkout.make(tmp_path)
    try:
        steps = ("deploys/cluster.py", "deploys/load_balancer.py", "deploys/dns.py")
        done = checkout.run("pyinfra", "--dry", "inventory.py", *steps, *IN_ZONE)
    finally:
        checkout.stop()
    assert f"would create the record {NAME}. 60 IN A <the load balancer's address>" in done.stderr
    assert "the rehearsal's account has the domain example.com now; yours has to have it" in done.stderr
