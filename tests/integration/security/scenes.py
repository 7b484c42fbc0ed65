"""A platform on which all is done that has to do with secrets, with all that was printed meanwhile."""

from __future__ import annotations

import contextlib
import json
import re
import secrets as random
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bcrypt
import yaml
from tests.integration.deploying import Checkout, clean_environment
from tests.integration.security.canaries import Canaries
from tests.integration.security.live import everything, secrets
from tests.integration.security.sockets import processes_below
from tests.integration.security.typing_in import typed

from tideflow.rehearsal.control_plane import AUTH_PROXY, ControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.security.sampling import Sampler

OWNER, ADA = "owner@example.org", "ada@example.org"
FORMS = re.compile(
    r"dop_(?:v1|k8s)_[0-9a-f]{6}|\$2[abxy]\$\d\d\$|[Bb]earer [\w.-]{6}|PRIVATE KEY"
    r"|a defect of a library, with [^{]"
)
"""What secrets look like that nobody has seen, as a token that was made and lost again."""

_SHOWN = re.compile(r"^ +Password +(\S+) \(made for this rehearsal\)$", re.MULTILINE)
"""The one line that shows a password: one that was made for a rehearsal."""

QUICK = "rehearsal_speed = 600\nrehearsal_pod_ready_seconds = [0.2, 0.5]\n"
"""Settings with which a rehearsal takes less time."""

NAMED = ("hostname=ml.example.org", "tls=self-signed", "dns_wait_minutes=0")
DECIDED = ("cluster", "load_balancer", "auth", "credentials", "ingress", "status")
"""The steps that work on a real platform to which nothing is vendored."""


_MINE = """
from pathlib import Path

from tideflow.operations import kubernetes

kubernetes.apply(name="Mine", source=Path("mine"), set_name="mine")
"""
"""A deploy file of one's own."""


class Scene:
    """A checkout with a rehearsal, which is also led to as a real platform, and the secrets of both."""

    def __init__(self, folder: Path, sampler: Sampler) -> None:
        self.began = time.time()
        self.before = set(Path(tempfile.gettempdir()).iterdir()) - {folder, sampler.folder}
        self.checkout = Checkout.make(folder)
        self.checkout.platform.mkdir(parents=True)
        (self.checkout.platform / "sample-base").touch()
        self.sampler = sampler
        self.canaries = Canaries()
        self.printed: dict[str, str] = {}
        self.shown: list[str] = []
        self.temporary = folder / "t"
        self.temporary.mkdir(mode=0o700)
        self.password = f'a "pass" \u00fc/&=+ {random.token_hex(10)}'
        self.typed = f"typed {random.token_hex(12)}"
        self.filed = folder / "chosen"
        self.filed.touch(mode=0o600)
        self.filed.write_text(f"another one {random.token_hex(12)}\n")
        self.unused = f"dop_v1_{random.token_hex(32)}"
        hashed = bcrypt.hashpw(random.token_bytes(12), bcrypt.gensalt(10)).decode()
        (folder / "group_data" / "ml-platform.py").write_text(
            f"email = {OWNER!r}\nusers = [{{'email': {ADA!r}, 'hash': {hashed!r}}}]\n{QUICK}"
        )
        self.canaries.add("password in the environment", self.password)
        self.canaries.add("password that is typed", self.typed)
        self.canaries.add("password in a file", self.filed.read_text().strip())
        self.canaries.add("token that is not used", self.unused)
        self.canaries.add("hash in the settings", hashed)
        shutil.copy(Path(__file__).with_name("breaking.py"), folder)

    @property
    def environment(self) -> dict[str, str]:
        """What all runs have in their environment."""
        return {**self.sampler.environment, "TMPDIR": str(self.temporary)}

    @property
    def rehearsal(self) -> Path:
        """The folder of the twin."""
        return self.checkout.platform / "rehearsal"

    @property
    def cluster(self) -> Path:
        """The folder of the cluster."""
        [found] = (self.rehearsal / "clusters").iterdir()
        return found

    def run(self, what: str, *arguments: str, **environment: str) -> str:
        """Run pyinfra, and keep what is printed."""
        done = self.checkout.run("pyinfra", *arguments, check=False, **self.environment, **environment)
        printed = done.stdout + done.stderr
        self.shown += _SHOWN.findall(printed)
        self.printed[what] = _SHOWN.sub("", printed)
        return printed

    def write(self) -> None:
        """Have a manifest of one's own, with a Secret of a new value and an object beside it."""
        value = f"shipped {random.token_hex(12)}"
        self.canaries.add("Secret of one's own", value)
        metadata = {"name": "mine", "namespace": "default"}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"mine": value}}
        other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}
        folder = self.checkout.folder / "mine"
        folder.mkdir(exist_ok=True)
        (folder / "both.yaml").write_text(yaml.safe_dump_all([secret, other]))
        (self.checkout.folder / "mine.py").write_text(_MINE)

    def type_in(self, what: str, *arguments: str) -> None:
        """Run pyinfra on the named platform, and type the password that it asks for twice."""
        environment = {**clean_environment(), **self.environment, **self.named()}
        answers = [("Password for ", self.typed), ("Repeat", self.typed)]
        self.printed[what] = typed(self.checkout.folder, arguments, environment, answers)
        self.collect()

    def step(self, what: str, *arguments: str, **environment: str) -> None:
        """Run pyinfra, and see what new secrets there are."""
        self.run(what, *arguments, **environment)
        self.collect()

    def named(self, endpoint: str = "") -> dict[str, str]:
        """Return the environment in which it is a real platform, at the twin or at another end point."""
        port = json.loads((self.rehearsal / "settings.json").read_text())["port"]
        return {
            "TIDEFLOW_PLATFORM": "ml-platform",
            "DIGITALOCEAN_ACCESS_TOKEN": (self.rehearsal / "token").read_text().strip(),
            "DIGITALOCEAN_END_POINT": f"{endpoint or f'http://127.0.0.1:{port}'}/v2/",
        }

    def collect(self) -> None:
        """Look for all that is secret by now, in the cluster, in files and in environments."""
        self.canaries.add("token of the twin", (self.rehearsal / "token").read_text().strip())
        for name in ("access", "kubeconfig"):
            with contextlib.suppress(OSError):
                config = yaml.safe_load((self.checkout.platform / name).read_text())
                self.canaries.add(f"token of the cluster in {name}", config["users"][0]["user"]["token"])
        with contextlib.suppress(OSError):
            self.canaries.add("generated password", (self.checkout.platform / "password").read_text().strip())
        for key in self.rehearsal.rglob("*.key"):
            self.canaries.add(f"key {key.relative_to(self.cluster)}", key.read_bytes())
        for pid, name in processes_below(self.checkout.folder.resolve()).items():
            if name == AUTH_PROXY:
                with contextlib.suppress(OSError):
                    proxy = re.search(
                        rb"HTTP_PROXY=http://([^@]*)@", Path(f"/proc/{pid}/environ").read_bytes()
                    )
                    if proxy:
                        self.canaries.add("credentials of the way to Dex", proxy[1].partition(b":")[2])
        if not (self.checkout.platform / "kubeconfig").exists():
            return
        for where, value in secrets([{**each, "kind": "Secret"} for each in self._secrets()]):
            # Helm's is no secret but its own record, and whoever logs in sees the client id.
            if not where.endswith((" release", " client-id", " OIDC_CLIENT_ID")):
                self.canaries.add(f"Secret {where}", value)

    def _secrets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.checkout.get("secrets", "--all-namespaces")["items"]
        return found

    def everything(self) -> list[dict[str, Any]]:
        """Return all that is in the cluster."""
        return everything(self.checkout)

    def plane(self) -> ControlPlane:
        """Return the cluster's control plane."""
        return ControlPlane(self.cluster)

    @contextlib.contextmanager
    def led_to(self, url: str) -> Iterator[None]:
        """Have runs speak to another API server meanwhile, with the same credentials."""
        file = self.checkout.platform / "access"
        if not file.exists():
            self.step(
                "with new access", "-y", "inventory.py", *deploys("status"), *data(*NAMED), **self.named()
            )
        before = file.read_text()
        config = yaml.safe_load(before)
        config["clusters"][0]["cluster"] = {"server": url}
        file.write_text(yaml.safe_dump(config))
        try:
            yield
        finally:
            file.write_text(before)

    def leaks(self, text: str) -> set[str]:
        """Return which secrets are in a text, and what looks like one."""
        return self.canaries.found(text) | set(FORMS.findall(text))


def deploys(*steps: str) -> list[str]:
    """Return the paths of deploy files."""
    return [f"deploys/{step}.py" for step in steps]


def data(*settings: str) -> list[str]:
    """Return the arguments that set them."""
    return [f"--data={setting}" for setting in settings]
