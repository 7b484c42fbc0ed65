"""Patching: settings get into vendored objects, and a patch that does not fit is noticed."""

from typing import Any

import pytest

from tideflow.errors import VendoringError
from tideflow.vendoring.patching import check, patched
from tideflow.vendoring.pins import Credential, ObjectPattern, Patch, Release, StatedGate

SETTINGS = {"email": "o'brien@example.org"}


def config_map(name: str = "dex", data: Any = None) -> dict[str, Any]:
    """Make a ConfigMap."""
    return {"kind": "ConfigMap", "metadata": {"name": name}, "data": data or {"a/b": "email: x\nname: y\n"}}


def patch(path: str, was: Any, becomes: Any) -> Patch:
    """Make a patch of the ConfigMap."""
    return Patch(kind="ConfigMap", name="dex", path=path, was=was, becomes=becomes, reason="test")


def test_text_is_replaced_inside_of_text() -> None:
    """The rest of the text stays, and the object that was given stays too."""
    before = config_map()
    [after] = patched([before], [patch("/data/a~1b", "email: x\n", 'email: "{email}"\n')], SETTINGS)
    assert after["data"] == {"a/b": 'email: "o\'brien@example.org"\nname: y\n'}
    assert before == config_map()


def test_a_whole_value_is_replaced_in_a_list() -> None:
    """Values can be of any kind; placeholders are filled wherever there is text."""
    before = config_map(data={"env": [{"name": "A", "value": "true"}]})
    change = patch("/data/env/0", {"name": "A", "value": "true"}, {"name": "B", "of": ["{email}", 3]})
    [after] = patched([before], [change], SETTINGS)
    assert after["data"] == {"env": [{"name": "B", "of": ["o'brien@example.org", 3]}]}


def test_what_no_patch_means_is_not_copied() -> None:
    """Hundreds of objects are not touched."""
    other = config_map("other")
    assert patched([other], [], SETTINGS)[0] is other


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (patch("/data/c", "x", "y"), "nothing at this path"),
        (patch("/data/a~1b/0/z", "x", "y"), "nothing at this path"),
        (patch("/data/a~1b", "email: z\n", "y"), "something else is there"),
        (patch("/data", "x", "y"), "something else is there"),
        (patch("/data/a~1b", "email: x\n", "{phone}"), "placeholder for no setting"),
    ],
)
def test_a_patch_that_does_not_fit_is_an_error(change: Patch, why: str) -> None:
    """A value that upstream changed is not overwritten blindly."""
    with pytest.raises(VendoringError, match=f"patch of ConfigMap dex at .* does not fit: .*{why}"):
        patched([config_map()], [change], SETTINGS)


def test_a_patch_of_nothing_is_an_error() -> None:
    """An object that was renamed upstream would else go unpatched."""
    with pytest.raises(VendoringError, match="there is no such object"):
        patched([config_map("other")], [patch("/data", "x", "y")], SETTINGS)


def release(**stated: Any) -> Release:
    """Make a release about which ``stated`` is stated."""
    return Release(name="1", repository="r", commit="0" * 40, render="x", kubernetes=("1.34",), **stated)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"credentials": (Credential(kind="Secret", name="b", key="k", form="password"),)}, "in Secret b"),
        ({"credentials": (Credential(kind="Secret", name="a", key="l", form="password"),)}, "credential l"),
        (
            {
                "gates": (
                    StatedGate(injected_by="i", after=ObjectPattern(kind="Secret", name="b"), reason="r"),
                )
            },
            "a gate on Secret b",
        ),
        (
            {
                "gates": (
                    StatedGate(injected_by="j", after=ObjectPattern(kind="Secret", name="a"), reason="r"),
                )
            },
            "a gate on what j injects",
        ),
        ({"patches": (patch("/data", "x", "y"),)}, "no such object"),
    ],
)
def test_everything_stated_is_about_objects_that_exist(stated: Any, message: str) -> None:
    """A statement about an object that is gone protects nobody, so that vendoring refuses it."""
    objects = [
        {"kind": "Secret", "metadata": {"name": "a"}, "stringData": {"k": "v"}},
        {"kind": "MutatingWebhookConfiguration", "metadata": {"name": "i"}},
    ]
    fitting = release(
        credentials=(Credential(kind="Secret", name="a", key="k", form="password"),),
        gates=(StatedGate(injected_by="i", after=ObjectPattern(kind="Secret", name="a"), reason="r"),),
    )
    check(fitting, objects)
    with pytest.raises(VendoringError, match=message):
        check(release(**stated), objects)
