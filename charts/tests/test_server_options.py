"""Tests that the server takes the options it is given by the chart, and does what was meant."""

import json
import subprocess
import sys
from pathlib import Path

import yaml

import inferd

CHART = Path(__file__).parents[1] / "inferd"


def printed_config(arguments: list[str]) -> dict:
    """Return the configuration that ``inferd`` would start with."""
    command = [sys.executable, "-m", "inferd", *arguments, "--print-config"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_server_listens_where_the_probes_and_the_service_look(helm, every_option):
    """The ports of the container are the ports the server opens, on every address."""
    for values in ({}, every_option):
        container = helm.container(values)
        config = printed_config(container["args"])
        for port in container["ports"]:
            assert config[f"{port['name']}_port"] == port["containerPort"]
            assert config[f"allow_{port['name']}"] is True
            assert config[f"{port['name']}_address"] == "0.0.0.0"


def test_the_server_does_what_the_values_say(helm, every_option):
    """Repository, control mode, models, drain and further options arrive as they were set."""
    config = printed_config(helm.container(every_option)["args"])
    assert config["model_repositories"] == [every_option["modelRepository"]["path"]]
    assert config["model_control_mode"] == every_option["modelControlMode"]
    assert config["load_models"] == every_option["loadModels"]
    assert config["exit_timeout_secs"] == every_option["exitTimeoutSeconds"]
    assert config["strict_readiness"] is False
    assert config["backend_config"] == {"onnxruntime": {"a": "b"}}


def test_the_defaults_of_the_chart_are_those_of_the_server(helm):
    """Moving a server into a cluster changes nothing of its behaviour."""
    chart = printed_config(helm.container()["args"])
    assert chart == printed_config(["serve", "--model-repository=/models"])


def test_the_chart_installs_the_version_it_lies_with():
    """The default image is that of this source tree."""
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == inferd.__version__
