"""What a server is started with, read by what reads it: TF Serving's messages, Compose's rules, Kubernetes's schema."""

import re
import subprocess

import kubernetes_validate
import pytest
import tensorflow as tf
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from export.memory_trial import measure_peak_memory
from export.server_files import FILES, IMAGE, write_server_files

NAMES = ["on", "1", "2.5", "null", "Kinetics_400.v2-a", "a" * 62 + ".b", "x" * 80]
MIB = 2**20


def compose_of(folder) -> dict:
    return yaml.safe_load((folder / "docker-compose.yml").read_text())


def kubernetes_of(folder) -> tuple[dict, dict]:
    deployment, service = yaml.safe_load_all((folder / "kubernetes.yaml").read_text())
    return deployment, service


def container_of(deployment: dict) -> dict:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container


def test_every_way_to_start_the_server_names_the_files_that_are_there(base):
    models = text_format.Parse((base / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    [model] = models.model_config_list.config
    assert (model.name, model.base_path) == ("actions", "/models/actions")
    service = compose_of(base)["services"]["actions"]
    assert service["volumes"] == [".:/models/actions:ro"]
    container = container_of(kubernetes_of(base)[0])
    [mount] = container["volumeMounts"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/models/actions", True)
    for arguments in (service["command"], container["args"]):
        for file_name in ("models.config", "monitoring.config", "batching_params.pbtxt"):
            assert any(argument.endswith(f"=/models/actions/{file_name}") for argument in arguments)
    assert all((base / file_name).is_file() for file_name in FILES)


def test_the_image_is_a_release_of_the_series_of_tensorflow_here(base):
    name, tag = IMAGE.split(":")
    assert name == "tensorflow/serving"
    assert re.fullmatch(r"\d+\.\d+\.\d+", tag)
    assert tag.split(".")[:2] == tf.__version__.split(".")[:2]
    assert compose_of(base)["services"]["actions"]["image"] == IMAGE
    assert container_of(kubernetes_of(base)[0])["image"] == IMAGE


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_text_to_compose(name, tmp_path):
    write_server_files(tmp_path, name, {1: 1.0}, MIB)
    compose = compose_of(tmp_path)
    assert list(compose["services"]) == [name]
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", compose["name"])  # Compose's rule for a project


@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_takes_the_manifest_of_every_name(name, tmp_path):
    write_server_files(tmp_path, name, {1: 1.0}, MIB)
    deployment, service = kubernetes_of(tmp_path)
    for document in (deployment, service):
        kubernetes_validate.validate(document, "1.30", strict=True)
        label = document["metadata"]["name"]
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", label)  # a label of RFC 1035, as a Service's name is
    template = deployment["spec"]["template"]
    assert (
        template["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    )
    container = container_of(deployment)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == ports.keys()
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": f"/v1/models/{name}", "port": "rest"}
    assert container["livenessProbe"]["tcpSocket"]["port"] in ports


def test_the_schema_refuses_what_kubernetes_would(tmp_path):
    write_server_files(tmp_path, "actions", {1: 1.0}, MIB)
    deployment, _ = kubernetes_of(tmp_path)
    container_of(deployment)["livenessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenessprobe"):
        kubernetes_validate.validate(deployment, "1.30", strict=True)


def test_memory_is_limited_to_a_quarter_more_than_measured(tmp_path):
    write_server_files(tmp_path, "actions", {1: 1.0}, 1000 * MIB)
    limits = compose_of(tmp_path)["services"]["actions"]["deploy"]["resources"]["limits"]
    assert limits == {"memory": "1280M"}  # 1250 up to the next multiple of 64
    resources = container_of(kubernetes_of(tmp_path)[0])["resources"]
    assert resources["limits"]["memory"] == resources["requests"]["memory"] == "1280Mi"


def test_the_memory_of_a_trial_grows_with_what_it_runs(base, served_model):
    one = measure_peak_memory(base / "1", served_model.metadata, batch_size=1, threads=1)
    many = measure_peak_memory(base / "1", served_model.metadata, batch_size=4096, threads=1)
    assert 100e6 < one < 2e9
    # 4096 * 16 * 32 * 32 * 3 bytes of pixels are 201 MB; of the smaller one the video took more than the clip.
    assert many > one + 100e6


def test_the_health_check_asks_the_server(server):
    _, *command = compose_of(server.base)["services"]["actions"]["healthcheck"]["test"]

    def is_healthy(port: int, name: str) -> bool:
        words = [word.replace("8501", str(port)).replace("models/actions", f"models/{name}") for word in command]
        return subprocess.run(words, capture_output=True, timeout=30, check=False).returncode == 0

    assert is_healthy(server.rest_port, "actions")
    assert not is_healthy(server.rest_port, "others")
    assert not is_healthy(1, "actions")


def test_the_line_for_gpus_is_one_when_its_mark_is_taken_away(base):
    text = (base / "docker-compose.yml").read_text()
    [service] = yaml.safe_load(re.sub(r"# (reservations:)", r"\1", text))["services"].values()
    resources = service["deploy"]["resources"]
    assert resources["reservations"] == {"devices": [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]}
    assert resources["limits"] == compose_of(base)["services"]["actions"]["deploy"]["resources"]["limits"]


@pytest.mark.parametrize(
    ("rates", "batch_size", "wait"),
    [({1: 10.0, 2: 18.0, 4: 19.8, 8: 20.0}, 4, 50_000), ({1: 10.0, 2: 9.0}, 1, 0)],
)
def test_batches_are_as_large_as_pays(tmp_path, rates, batch_size, wait):
    write_server_files(tmp_path, "actions", rates, MIB)
    text = (tmp_path / "batching_params.pbtxt").read_text()
    assert f"max_execution_batch_size {{ value: {batch_size} }}" in text
    assert f"batch_timeout_micros {{ value: {wait} }}" in text
    assert "pad_variable_length_inputs: false" in text
