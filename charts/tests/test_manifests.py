"""Tests of the objects that the chart creates."""

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

CHART = Path(__file__).parents[1] / "inferd"
PORTS = {"http": 8000, "grpc": 8001, "metrics": 8002}
OLDEST, NEWEST = "1.30", "1.37"
"""The oldest Kubernetes that Chart.yaml allows and the newest whose schemas are to be had."""


def test_lint_has_nothing_to_say(helm, every_option):
    """Helm's own strict checks accept the chart with few and with all options."""
    for values in ({}, every_option):
        done = helm.run("lint", "--strict", "--with-subcharts", values=values)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_would_take_every_object(helm, every_option, version):
    """Every object has only fields that Kubernetes knows, with values of the right types."""
    for values in ({}, every_option):
        for kind, one in helm.objects(values).items():
            if kind != "ServiceMonitor":
                kubernetes_validate.validate(one, version, strict=True)


def test_the_oldest_kubernetes_is_the_one_with_a_sleeping_hook(helm):
    """The chart refuses clusters that would drop the preStop pause."""
    assert helm.template({}, f"--kube-version={OLDEST}.0")
    done = helm.run("template", "--kube-version=1.29.9", "r1")
    assert "incompatible with Kubernetes" in done.stderr


def test_few_objects_by_default_and_all_on_demand(helm, every_option):
    """An installation is three objects; the others appear when they are asked for."""
    assert set(helm.objects()) == {"Deployment", "Service", "ServiceAccount"}
    every_option = every_option | {"serviceAccount": {"create": True}}
    assert set(helm.objects(every_option)) == {
        "Deployment",
        "HorizontalPodAutoscaler",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
    }


def test_each_template_makes_the_object_it_is_named_after(helm, every_option):
    """Whoever looks for an object finds it in the file of its kind."""
    text = helm.template(every_option | {"serviceAccount": {"create": True}})
    sources = re.findall(r"^# Source: inferd/templates/(\w+)\.yaml$", text, re.MULTILINE)
    kinds = re.findall(r"^kind: (\w+)$", text, re.MULTILINE)
    assert sources == [kind.lower() for kind in kinds]
    assert set(sources) == {path.stem for path in (CHART / "templates").glob("*.yaml")}


def test_objects_share_a_name_a_namespace_and_labels(helm, every_option):
    """All objects of a release are found by its name and its labels."""
    for one in helm.objects(every_option).values():
        assert one["metadata"]["name"] == "classifier"
        assert one["metadata"]["namespace"] == "ns1"
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == "r1"


@pytest.mark.parametrize(
    ("release", "name"),
    [("r1", "r1-inferd"), ("my-inferd", "my-inferd"), ("x" * 53, "x" * 53 + "-inferd")],
)
def test_names_come_from_the_release(helm, release, name):
    """Two releases in one namespace do not meet, and the longest release name fits."""
    assert helm.objects(release=release)["Deployment"]["metadata"]["name"] == name
    assert len(name) <= 63


def test_ports_have_the_same_name_everywhere(helm, every_option):
    """Service, monitor and probes find the ports of the container by name."""
    found = helm.objects(every_option)
    container = helm.container(every_option)
    service = found["Service"]["spec"]["ports"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == PORTS
    assert {port["name"]: port["port"] for port in service} == PORTS
    assert all(port["targetPort"] == port["name"] for port in service)
    (endpoint,) = found["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint == {"port": "metrics", "interval": "30s"}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "http"


def test_selectors_match_the_pods(helm, every_option):
    """Everything that looks for the release's pods or Service finds them."""
    found = helm.objects(every_option)
    deployment = found["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    for selector in (
        deployment["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    monitored = found["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
    assert monitored.items() <= found["Service"]["metadata"]["labels"].items()
    target = found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert target["name"] == found["Deployment"]["metadata"]["name"]


def test_probes_ask_what_they_are_for(helm):
    """A pod is started and served when ready, and restarted only when not live."""
    container = helm.container()
    assert container["startupProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"


@pytest.mark.parametrize("seconds", [1, 2, 599, 600])
def test_models_have_the_whole_startup_time(helm, seconds):
    """The start-up probe gives up at the time asked for and not before; nor does the rollout."""
    values = {"startupTimeoutSeconds": seconds}
    probe = helm.container(values)["startupProbe"]
    budget = probe["periodSeconds"] * probe["failureThreshold"]
    assert seconds <= budget < seconds + probe["periodSeconds"]
    assert helm.objects(values)["Deployment"]["spec"]["progressDeadlineSeconds"] > budget


@pytest.mark.parametrize(("pause", "drain", "grace"), [(5, 30, 40), (0, 0, 5), (60, 3600, 3665)])
def test_the_grace_period_covers_pause_and_drain(helm, pause, drain, grace):
    """Kubernetes kills no pod that still pauses or drains."""
    values = {"preStopSeconds": pause, "exitTimeoutSeconds": drain}
    assert helm.pod(values)["terminationGracePeriodSeconds"] == grace
    container = helm.container(values)
    assert container.get("lifecycle", {"preStop": {"sleep": {"seconds": 0}}}) == {
        "preStop": {"sleep": {"seconds": pause}}
    }
    assert f"--exit-timeout-secs={drain}" in container["args"]


def test_pods_are_locked_down(helm, every_option):
    """Whatever is chosen, the process is nobody, may do nothing and writes only to /tmp."""
    for values in ({}, every_option, {"runAsUser": None}):
        pod, container = helm.pod(values), helm.container(values)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounts = container["volumeMounts"]
        assert [one["mountPath"] for one in mounts if not one.get("readOnly")] == ["/tmp"]
        assert {"name": "tmp", "emptyDir": {}} in pod["volumes"]


def test_the_platform_may_choose_the_user(helm):
    """OpenShift gives users and groups to pods that ask for none."""
    assert helm.pod()["securityContext"]["runAsUser"] == 10001
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(
        helm.pod({"runAsUser": None})["securityContext"]
    )


@pytest.mark.parametrize(
    ("values", "source"),
    [
        ({}, {"emptyDir": {}}),
        ({"existingClaim": "123"}, {"persistentVolumeClaim": {"claimName": "123"}}),
        ({"claim": {"create": True}}, {"persistentVolumeClaim": {"claimName": "r1-inferd"}}),
        (
            {"volume": {"nfs": {"server": "files", "path": "/m"}}},
            {"nfs": {"server": "files", "path": "/m"}},
        ),
    ],
    ids=["none", "existing claim", "own claim", "any volume"],
)
def test_models_come_from_the_volume_asked_for(helm, values, source):
    """The repository's folder is a claim, another volume, or empty, and never writable."""
    values = {"modelRepository": values | {"path": "/m"}}
    assert {"name": "models"} | source in helm.pod(values)["volumes"]
    mount = {"name": "models", "mountPath": "/m", "readOnly": True}
    assert mount in helm.container(values)["volumeMounts"]


def test_the_claim_outlives_the_release(helm):
    """Uninstalling does not delete models."""
    claim = helm.objects({"modelRepository": {"claim": {"create": True}}})["PersistentVolumeClaim"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "storageClassName" not in claim["spec"]


def test_gpus_come_on_top_of_other_limits(helm):
    """Asking for GPUs keeps the limits that are set; asking for none sets no limit."""
    limits = {"resources": {"limits": {"memory": "8Gi"}}}
    assert helm.container(limits | {"gpus": 2})["resources"]["limits"] == {
        "memory": "8Gi",
        "nvidia.com/gpu": "2",
    }
    assert helm.container({"gpus": 1})["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert helm.container()["resources"]["limits"] == {}


@pytest.mark.parametrize(
    ("tag", "image"),
    [("", "inferd:0.1.0"), ("1", "inferd:1"), ("sha256:" + "a" * 64, f"inferd@sha256:{'a' * 64}")],
)
def test_the_image_is_a_tag_or_a_digest(helm, tag, image):
    """The image is that of the chart's appVersion unless a tag or a digest is given."""
    assert helm.container({"image": {"tag": tag}})["image"] == image


@pytest.mark.parametrize(
    ("account", "used"),
    [
        ({}, "r1-inferd"),
        ({"name": "mine"}, "mine"),
        ({"create": False}, "default"),
        ({"create": False, "name": "mine"}, "mine"),
    ],
)
def test_pods_use_an_account_that_exists(helm, account, used):
    """Pods run under the account the release creates, one that is named, or the default."""
    found = helm.objects({"serviceAccount": account})
    assert found["Deployment"]["spec"]["template"]["spec"]["serviceAccountName"] == used
    assert ("ServiceAccount" in found) is account.get("create", True)
    if "ServiceAccount" in found:
        assert found["ServiceAccount"]["metadata"]["name"] == used


def test_an_autoscaler_alone_counts_replicas(helm):
    """An upgrade does not undo what the autoscaler decided."""
    assert helm.objects({"replicaCount": 3})["Deployment"]["spec"]["replicas"] == 3
    found = helm.objects({"autoscaling": {"enabled": True}})
    assert "replicas" not in found["Deployment"]["spec"]
    assert found["HorizontalPodAutoscaler"]["spec"]["maxReplicas"] == 3


def test_a_chart_may_depend_on_this_one(helm, tmp_path):
    """As a part of another chart it gets Helm's global values and its own under its name."""
    parent = tmp_path / "parent"
    (parent / "charts").mkdir(parents=True)
    (parent / "charts" / "inferd").symlink_to(CHART)
    (parent / "Chart.yaml").write_text("{apiVersion: v2, name: parent, version: 0.1.0}")
    values = {"global": {"region": "here"}, "inferd": {"replicaCount": 2}}
    done = helm.run("template", "r1", values=values, chart=parent)
    assert done.returncode == 0, done.stderr
    replicas = [
        one["spec"].get("replicas") for one in yaml.safe_load_all(done.stdout) if "spec" in one
    ]
    assert 2 in replicas
