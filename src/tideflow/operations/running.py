"""How our operations run inside pyinfra.

pyinfra runs an operation's generator once to find out what would change and again to do it. So a generator
only reads, and yields ``change(…)`` for what writes. Errors of ours end either phase with one red line.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from pyinfra import host, logger
from pyinfra.api import FunctionCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operation import operation as pyinfra_operation

from tideflow.connectors.defects import defect
from tideflow.connectors.platform import CLUSTER, PlatformConnector, refuse
from tideflow.connectors.progress import LiveLine
from tideflow.errors import SettingError, TideflowError
from tideflow.operations.commands import to_run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from pyinfra.api.host import Host
    from pyinfra.api.operation import PyinfraOperation
    from pyinfra.api.state import State

    from tideflow.clients.kubernetes import Kubernetes
    from tideflow.connectors.settings import Settings
    from tideflow.engine.manifests import Key, Manifest

BASE = "the Kubeflow base"
"""What ``deploys/kubeflow_base.py`` makes, as a promise to later steps."""


P = ParamSpec("P")
R = TypeVar("R")
Call = TypeVar("Call", bound="Callable[..., Any]")


def operation(function: Callable[P, Generator[FunctionCommand]]) -> PyinfraOperation[P]:
    """Make a pyinfra operation of a generator that may raise ``TideflowError``."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Generator[FunctionCommand]:
        try:
            yield from function(*args, **kwargs)
        except TideflowError as error:
            if not host.state.is_executing:
                raise refuse(host, error) from error
            # Raised here, it would end the run of all platforms with a traceback; a command that fails ends
            # this one's.
            yield FunctionCommand(_fail, (error,), {})
        except PyinfraError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, people get one line
            if not host.state.is_executing:
                raise refuse(host, defect(error)) from None
            yield FunctionCommand(_fail, (defect(error),), {})

    return pyinfra_operation()(guarded)


def of_set(
    described: Callable[..., tuple[str, Callable[[], Sequence[Manifest]]]],
) -> Callable[[Call], Call]:
    """Make an operation known by the set it applies.

    What moves into that set must not be pruned before, and what it defines is there for later sets.
    ``described`` gets the operation's arguments, and returns the set's name and what returns its objects.
    """

    def known(operation: Call) -> Call:
        @functools.wraps(operation)
        def called(*args: Any, **kwargs: Any) -> Any:
            refusing(_join)(operation, described, kwargs)
            return operation(*args, **kwargs)

        return cast("Call", called)

    return known


def _join(
    operation: Callable[..., Any],
    described: Callable[..., tuple[str, Callable[[], Sequence[Manifest]]]],
    kwargs: Mapping[str, Any],
) -> None:
    """Have the set known; raises ``SettingError`` for arguments that do not fit, and for a second set."""
    set_name, objects = described(**_bound(operation, kwargs))
    sets = platform().sets
    if set_name in sets and _said(sets[set_name]()) != _said(objects()):
        raise SettingError(
            f"two operations of this run apply different objects as the set {set_name}",
            hint="give each a set_name of its own: each would delete, or change back, what the other has",
        )
    sets[set_name] = objects


def _said(objects: Sequence[Manifest]) -> dict[Key, Mapping[str, Any]]:
    return {manifest.key: manifest.body for manifest in objects}


def _bound(operation: Callable[..., Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return an operation's arguments with its defaults, without pyinfra's own.

    Raises ``SettingError`` for some that it does not take, or lacks.
    """
    signature = inspect.signature(operation)
    own = {name: value for name, value in kwargs.items() if name != "name" and not name.startswith("_")}
    try:
        bound = signature.bind(**own)
    except TypeError as error:
        takes = ", ".join(signature.parameters)
        raise SettingError(f"{operation.__name__}: {error}", hint=f"it takes {takes}") from None
    bound.apply_defaults()
    return bound.arguments


def change(work: Callable[[LiveLine], object]) -> FunctionCommand:
    """Return the command that does ``work``, which may show what it waits for on the line it is given."""
    return FunctionCommand(_perform, (work,), {})


def _perform(state: State, host: Host, work: Callable[[LiveLine], object]) -> bool:  # noqa: ARG001 - pyinfra's form
    live = LiveLine(host)
    try:
        work(live)
    except TideflowError as error:
        live.close()
        _report(host, error)
        return False
    except Exception as error:  # noqa: BLE001 - whatever it is, people get one line
        live.close()
        _report(host, defect(error))
        return False
    finally:
        live.close()
        platform_of(host).forget()
    return True


def _fail(state: State, host: Host, error: TideflowError) -> bool:  # noqa: ARG001 - pyinfra's form
    _report(host, error)
    return False


def _report(host: Host, error: TideflowError) -> None:
    for line in str(error).splitlines():
        host.log_styled(line, fg="red", log_func=logger.error)


def is_dry() -> bool:
    """Tell whether the run only says what it would do."""
    return platform().dry


def executing() -> bool:
    """Tell whether changes are being made, and not only announced."""
    return bool(host.state.is_executing)


def announce(text: str) -> None:
    """Say what the run will do, while changes are being announced; ``--dry`` ends after that."""
    if not executing():
        host.log(f"would {text}")


def platform_of(of: Host) -> PlatformConnector:
    """Return a host's connector; raises ``SettingError`` for hosts that are no platform, such as @local."""
    if not isinstance(of.connector, PlatformConnector):
        raise SettingError(
            f"{of.name} is not a platform",
            hint="write @doks/…, @rehearsal/… or @kubeconfig/… in inventory.py",
        )
    return of.connector


def platform() -> PlatformConnector:
    """Return the platform that the running deploy file or operation is about."""
    return platform_of(host)


def promise(what: str) -> None:
    """Tell later steps of this run that an earlier one makes ``what``."""
    platform().promised.add(what)


def promised(what: str) -> bool:
    """Tell whether an earlier step of this run makes ``what``."""
    return what in platform().promised


def refusing(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function that deploy files call end the run with one line when it raises ``TideflowError``."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TideflowError as error:
            raise refuse(host, error) from error
        except PyinfraError:
            raise
        except Exception as error:  # noqa: BLE001 - the same
            raise refuse(host, defect(error)) from None

    return guarded


def refusals(function: Callable[..., Any], *args: Any) -> list[TideflowError]:
    """Return the error, if there is one, with which a ``refusing`` function would end the run."""
    try:
        inspect.unwrap(function)(*args)
    except TideflowError as error:
        return [error]
    return []


@refusing
def settings() -> Settings:
    """Return the platform's settings."""
    return platform().settings


@refusing
def require(what: str, *, there: Callable[[], Any], made_by: str) -> None:
    """End the run, unless ``what`` is there or an earlier step makes it, naming the step to run first."""
    if not promised(what) and not there():
        raise SettingError(f"{what} is not there yet", hint=f"run first: {to_run(made_by)}")


def present_cluster() -> Kubernetes | None:
    """Return the cluster's client, None while an earlier step of this run is still to make the cluster.

    Raises ``SettingError`` if there is none, and nobody makes it.
    """
    cluster = platform().kubernetes()
    if cluster is None and (executing() or not promised(CLUSTER)):
        raise SettingError(
            f"{CLUSTER} {platform().platform} does not run", hint=f"run first: {to_run('cluster')}"
        )
    return cluster


def needed_cluster(target: PlatformConnector) -> Kubernetes:
    """Return the client of a cluster that is about to be changed; it was there when that was planned."""
    cluster = target.kubernetes()
    if cluster is None:
        raise SettingError(f"the cluster {target.platform} is gone", hint=f"run first: {to_run('cluster')}")
    return cluster


def require_cluster() -> None:
    """End the run unless the cluster runs, or an earlier step of this run makes it."""
    require(CLUSTER, there=lambda: platform().kubernetes(), made_by="cluster")
