"""Tests of the chart's values: each is checked, and each changes what is created."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

SCHEMA = json.loads((Path(__file__).parents[1] / "inferd" / "values.schema.json").read_text())

REFUSED = {
    "number as tag": ({"image": {"tag": 1}}, "tag"),
    "unknown key": ({"replicas": 2}, "replicas"),
    "unknown key below": ({"image": {"name": "inferd"}}, "name"),
    "text as number": ({"replicaCount": "abc"}, "replicaCount"),
    "half a pod": ({"replicaCount": 1.5}, "replicaCount"),
    "unknown pull policy": ({"image": {"pullPolicy": "Nope"}}, "pullPolicy"),
    "empty repository": ({"image": {"repository": ""}}, "repository"),
    "name with capitals": ({"fullnameOverride": "Inferd"}, "fullnameOverride"),
    "name beyond 63": ({"fullnameOverride": "x" * 64}, "fullnameOverride"),
    "relative path": ({"modelRepository": {"path": "models"}}, "path"),
    "path of the scratch volume": ({"modelRepository": {"path": "/tmp"}}, "path"),
    "host folder": ({"modelRepository": {"volume": {"hostPath": {"path": "/"}}}}, "hostPath"),
    "two volumes": ({"modelRepository": {"volume": {"nfs": {}, "csi": {}}}}, "volume"),
    "two claims": (
        {"modelRepository": {"existingClaim": "x", "claim": {"create": True}}},
        "existingClaim",
    ),
    "claim and volume": (
        {"modelRepository": {"existingClaim": "x", "volume": {"nfs": {}}}},
        "volume",
    ),
    "own claim and volume": (
        {"modelRepository": {"claim": {"create": True}, "volume": {"nfs": {}}}},
        "volume",
    ),
    "unknown access": (
        {"modelRepository": {"claim": {"accessModes": ["ReadWrite"]}}},
        "accessModes",
    ),
    "unknown control mode": ({"modelControlMode": "auto"}, "modelControlMode"),
    "models nobody would load": ({"loadModels": ["simple"]}, "modelControlMode"),
    "a port the Service misses": ({"extraArgs": ["--http-port=80"]}, "extraArgs"),
    "a drain beyond the grace": ({"extraArgs": ["--exit-timeout-secs", "90"]}, "extraArgs"),
    "number as variable": ({"env": [{"name": "N", "value": 1}]}, "env"),
    "no time to start": ({"startupTimeoutSeconds": 0}, "startupTimeoutSeconds"),
    "negative pause": ({"preStopSeconds": -1}, "preStopSeconds"),
    "negative drain": ({"exitTimeoutSeconds": -1}, "exitTimeoutSeconds"),
    "misspelt limit": ({"resources": {"limit": {"cpu": 1}}}, "limit"),
    "part of a GPU": ({"gpus": 0.5}, "gpus"),
    "root": ({"runAsUser": 0}, "runAsUser"),
    "unknown strategy": ({"strategy": {"type": "Replace"}}, "type"),
    "number as annotation": ({"podAnnotations": {"a": 1}}, "podAnnotations"),
    "unknown Service": ({"service": {"type": "ExternalName"}}, "type"),
    "interval without unit": ({"serviceMonitor": {"interval": "15"}}, "interval"),
    "no pods": ({"autoscaling": {"minReplicas": 0}}, "minReplicas"),
    "unknown metric": ({"autoscaling": {"metrics": [{"type": "CPU"}]}}, "metrics"),
    "share without sign": ({"podDisruptionBudget": {"maxUnavailable": "25"}}, "maxUnavailable"),
}

ALTERNATIVES = [
    {},
    {"autoscaling": {"enabled": False}},
    {"serviceAccount": {"create": True}},
    {"modelRepository": {"claim": {"create": False}, "existingClaim": "models"}},
    {
        "modelRepository": {
            "claim": {"create": False},
            "volume": {"nfs": {"server": "a", "path": "/"}},
        }
    },
]
"""What to change in the values with every option, so that each value has a part in one of them."""


@pytest.mark.parametrize(("values", "key"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_value_is_refused_with_its_name(helm, values, key):
    """A mistake ends the installation before it begins, and the message names the value."""
    done = helm.run("template", "r1", values=values)
    assert "specifications of the schema" in done.stderr
    assert key in done.stderr


@pytest.mark.parametrize(
    "values",
    [
        {"fullnameOverride": "x" * 63},
        {"replicaCount": 0},
        {"startupTimeoutSeconds": 1},
        {"runAsUser": 1},
        {"modelRepository": {"path": "/tmpfs"}},
        {"modelControlMode": "explicit", "loadModels": ["*"]},
        {"modelControlMode": "poll", "extraArgs": ["--repository-poll-secs=5"]},
        {"podDisruptionBudget": {"enabled": True, "maxUnavailable": 0}},
    ],
    ids=str,
)
def test_values_on_the_boundary_are_taken(helm, values):
    """What is just allowed is allowed."""
    assert helm.template(values)


def test_the_schema_is_of_the_values_and_nothing_else(defaults):
    """Every value has a check, every check a value, and no level takes an unknown key."""
    _assert_same_keys(SCHEMA, {**defaults, "global": {}}, "values")


def test_every_value_makes_a_difference(helm, defaults, every_option):
    """No value is there for nothing: its default and another setting give other objects."""
    unused = dict(_leaves(defaults))
    for alternative in ALTERNATIVES:
        values = _merged(every_option, alternative)
        chosen = helm.objects(values)
        for path, default in list(unused.items()):
            if _get(values, path, default) == default:
                continue
            reset = copy.deepcopy(values)
            _set(reset, path, default)
            done = helm.run("template", "r1", "--namespace=ns1", values=reset)
            if done.returncode or helm.objects(reset) != chosen:
                del unused[path]
    assert not unused


def _assert_same_keys(schema: dict, values: dict, where: str) -> None:
    properties = schema["properties"]
    assert schema["additionalProperties"] is False, where
    assert set(properties) == set(values), where
    for key, below in values.items():
        if below and "properties" in properties[key]:
            _assert_same_keys(properties[key], below, f"{where}.{key}")


def _leaves(values: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield the path and the default of everything that is no group of values."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _get(values: dict, path: tuple[str, ...], default: object) -> object:
    for key in path:
        if key not in values:
            return default
        values = values[key]
    return values


def _set(values: dict, path: tuple[str, ...], value: object) -> None:
    *groups, last = path
    for key in groups:
        values = values[key]
    values[last] = value


def _merged(values: dict, changes: dict) -> dict:
    """Return ``values`` with ``changes`` in them, as Helm merges two files."""
    merged = copy.deepcopy(values)
    for key, change in changes.items():
        old = merged.get(key)
        both = isinstance(change, dict) and isinstance(old, dict)
        merged[key] = _merged(old, change) if both else change
    return merged
