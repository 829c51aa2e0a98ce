"""Tests of version folders, version policies and requested versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd._generated.inference import (
    ModelVersionPolicy,
    ModelVersionPolicyAll,
    ModelVersionPolicyLatest,
    ModelVersionPolicySpecific,
)
from inferd.errors import InvalidRequest
from inferd.models import versions
from inferd.models.versions import VersionSelection

INT64_MAX = 2**63 - 1


def _latest(count: int) -> ModelVersionPolicy:
    return ModelVersionPolicy(latest=ModelVersionPolicyLatest(num_versions=count))


def _specific(*wanted: int) -> ModelVersionPolicy:
    return ModelVersionPolicy(specific=ModelVersionPolicySpecific(versions=list(wanted)))


EVERY = ModelVersionPolicy(all=ModelVersionPolicyAll())

policies = st.one_of(
    st.none(),
    st.builds(ModelVersionPolicy),
    st.just(EVERY),
    st.integers(0, 5).map(_latest),
    st.lists(st.integers(-1, 8), max_size=5).map(lambda wanted: _specific(*wanted)),
)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("1", 1),
        ("10", 10),
        ("0", 0),
        (str(INT64_MAX), INT64_MAX),
        (str(INT64_MAX + 1), None),
        ("9" * 5000, None),
        ("003", None),
        ("00", None),
        ("abc", None),
        ("1.bak", None),
        ("-1", None),
        ("+1", None),
        (" 1", None),
        ("1\n", None),
        ("\u0661", None),
        ("", None),
        ("warmup", None),
    ],
)
def test_only_plain_numbers_are_version_folders(name: str, version: int | None) -> None:
    """A folder is a version when its whole name is a 64-bit number without leading zeros."""
    assert versions.parse_version_directory(name) == version


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        (
            "003",
            "ignore version directory '003' which contains leading zeros in its directory name",
        ),
        ("0x", "ignore version directory '0x' which contains leading zeros in its directory name"),
        ("abc", "ignore version directory 'abc' which fails to convert to integral number"),
        (
            "9223372036854775808",
            "ignore version directory '9223372036854775808' which fails to convert to integral "
            "number",
        ),
        ("", "ignore version directory '' which fails to convert to integral number"),
        ("0", None),
        ("7", None),
        ("warmup", None),
        ("initial_state", None),
        ("configs", None),
    ],
)
def test_ignored_folders_are_reported_in_tritons_words(name: str, warning: str | None) -> None:
    """A folder that is no version is reported, except the ones with a meaning of their own."""
    assert versions.ignored_directory_warning(name) == warning


@pytest.mark.parametrize(
    ("available", "policy", "expected"),
    [
        ([1, 10, 9], None, VersionSelection((10,))),
        ([], None, VersionSelection(())),
        ([1, 10, 9], _latest(1), VersionSelection((10,))),
        ([1, 10, 9], _latest(2), VersionSelection((9, 10))),
        ([1, 10, 9], _latest(3), VersionSelection((1, 9, 10))),
        ([1, 10, 9], _latest(4), VersionSelection((1, 9, 10))),
        ([1, 10, 9], _latest(0), VersionSelection((10,))),
        ([], _latest(2), VersionSelection(())),
        ([3, 1], EVERY, VersionSelection((1, 3))),
        ([3, 1], ModelVersionPolicy(), VersionSelection((1, 3))),
        ([3, 1], _specific(3, 7, 1, 7, 2), VersionSelection((1, 3), (7, 2))),
        ([3, 1], _specific(), VersionSelection(())),
        ([2, 2], EVERY, VersionSelection((2,))),
    ],
)
def test_a_policy_chooses_versions(
    available: list[int], policy: ModelVersionPolicy | None, expected: VersionSelection
) -> None:
    """Each policy loads the versions Triton would, in ascending order."""
    assert versions.select(available, policy) == expected


@given(available=st.lists(st.integers(0, 8), max_size=6), policy=policies)
def test_no_policy_invents_a_version(
    available: list[int], policy: ModelVersionPolicy | None
) -> None:
    """Whatever the policy says, only versions with a folder are chosen, once, in order."""
    selection = versions.select(available, policy)
    assert set(selection.chosen) <= set(available)
    assert list(selection.chosen) == sorted(set(selection.chosen))
    assert not set(selection.missing) & set(available)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("", None),
        ("1", 1),
        ("0", 0),
        ("-0", 0),
        (" +07", 7),
        (str(INT64_MAX), INT64_MAX),
        ("0" * 5000 + "3", 3),
    ],
)
def test_a_request_may_name_a_version(text: str, version: int | None) -> None:
    """The version string of a request is a number; an empty one leaves the choice open."""
    assert versions.parse_requested(text) == version


@pytest.mark.parametrize("text", ["abc", " ", "1.0", "1 ", "1abc", "+", str(2**63), "\uff11"])
def test_a_version_that_is_no_number_is_refused(text: str) -> None:
    """A version string that is not a 64-bit integer is a bad request, in Triton's words."""
    with pytest.raises(InvalidRequest) as caught:
        versions.parse_requested(text)
    assert caught.value.message == (
        f"failed to get model version from specified version string '{text}' (details: stol), "
        "version should be an integral value > 0"
    )


@pytest.mark.parametrize("text", ["-1", " -20"])
def test_a_negative_version_is_refused(text: str) -> None:
    """A negative version is a bad request of its own, in Triton's words."""
    with pytest.raises(InvalidRequest) as caught:
        versions.parse_requested(text)
    assert caught.value.message == (
        f"invalid model version specified '{text}' , version should be an integral value > 0"
    )


def test_versions_that_cannot_be_loaded_are_named() -> None:
    """Operators read which version is missing, or that the policy leaves nothing."""
    assert versions.missing_version_error("simple", 3) == (
        "version 3 is specified for model 'simple', but the version directory is not present"
    )
    assert versions.no_version_error("simple") == (
        "at least one version must be available under the version policy of model 'simple'"
    )
