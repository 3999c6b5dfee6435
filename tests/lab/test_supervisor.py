"""What an operator may do to the lab's processes, done to real ones."""

import json
import signal
import socket
import stat

import httpx
import psutil
import pytest

from tests.lab.conftest import TOKEN, Lab, Visitor, alive, eventually

SERVICES = {
    "api-gateway",
    "user-service",
    "document-processor",
    "ai-analysis-service",
    "feedback-service",
    "notification-service",
    "model-server",
}


def test_every_service_is_a_process_of_its_own_that_answers_on_its_port(lab):
    processes = lab.processes()
    assert {each["service"] for each in processes} == SERVICES | {"receivers"}
    assert len({each["pid"] for each in processes}) == len(processes)
    for each in processes:
        health = httpx.get(f"http://127.0.0.1:{each['port']}/healthz").json()
        assert (each["state"], health["instance"]) == ("running", each["name"])


def test_the_api_wants_the_token_and_the_health_probe_does_not(lab):
    assert httpx.get(f"{lab.url}/healthz").status_code == 200
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}):
        answer = httpx.get(f"{lab.url}/processes", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")


def test_a_killed_process_stays_down_until_it_is_started_again(lab):
    [before] = lab.processes("feedback-service")
    assert lab.act("feedback-service", "kill")["pids"] == [before["pid"]]
    [down] = lab.processes("feedback-service")
    assert (down["state"], down["pid"]) == ("crashed", None)
    outcome = lab.act("feedback-service", "start")
    [after] = lab.processes("feedback-service")
    assert (outcome["ok"], outcome["pids"]) == (True, [after["pid"]])
    assert after["pid"] != before["pid"]
    assert after["restarts"] == before["restarts"] + 1
    assert lab.act("feedback-service", "start")["pids"] == [after["pid"]]  # it runs already


def test_a_process_that_dies_by_itself_is_seen_as_crashed(lab, sink):
    [before] = lab.processes("notification-service")
    psutil.Process(before["pid"]).kill()
    eventually(lambda: lab.processes("notification-service")[0]["state"] == "crashed", "crashed")
    down = {"component": "notification-service", "check_type": "http"}
    eventually(lambda: sink.value("ai_prism_system_health", **down) == 0.0, "health 0 in the metrics")
    assert lab.act("notification-service", "restart")["ok"]
    eventually(lambda: sink.value("ai_prism_system_health", **down) == 1.0, "health 1 in the metrics")


def test_a_stopped_service_is_no_longer_listed_for_its_callers(lab):
    assert lab.act("notification-service", "stop")["ok"]
    assert lab.processes("notification-service")[0]["state"] == "stopped"
    topology = json.loads((lab.data / "topology.json").read_text())
    assert topology["services"]["notification-service"] == []
    assert lab.act("notification-service", "start")["ok"]


def test_restart_makes_a_new_process_on_the_same_port(lab):
    [before] = lab.processes("user-service")
    assert lab.act("user-service", "restart")["ok"]
    [after] = lab.processes("user-service")
    assert after["pid"] != before["pid"]
    assert after["port"] == before["port"]


def test_a_repeated_idempotency_key_gets_the_first_answer_and_acts_once(lab):
    first = lab.act("feedback-service", "restart", key="once")
    assert lab.act("feedback-service", "restart", key="once") == first
    assert lab.processes("feedback-service")[0]["pid"] == first["pids"][0]
    answer = lab.http.post("/processes/feedback-service/kill", headers={"idempotency-key": "once"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "key_reused")
    assert lab.act("feedback-service", "restart", key="twice")["pids"] != first["pids"]


def test_scaled_services_share_the_work_and_scale_back(lab):
    assert lab.act("ai-analysis-service", "scale", replicas=3)["ok"]
    replicas = lab.processes("ai-analysis-service")
    assert [each["name"] for each in replicas] == [f"ai-analysis-service-{number}" for number in (1, 2, 3)]
    assert all(each["state"] == "running" and each["replicas"] == 3 for each in replicas)
    with Visitor(lab) as visitor:
        for document_id in [visitor.upload(seed) for seed in range(4)]:
            assert visitor.outcome(document_id)["status"] == "completed"
    assert lab.act("ai-analysis-service", "scale", replicas=1)["ok"]
    eventually(lambda: not alive([each["pid"] for each in replicas[1:]]), "the surplus ended")
    assert [each["pid"] for each in lab.processes("ai-analysis-service")] == [replicas[0]["pid"]]


@pytest.mark.parametrize("service", ["user-service", "receivers"])
def test_what_cannot_be_shared_out_is_not_scaled(lab, service):
    outcome = lab.act(service, "scale", replicas=2)
    assert not outcome["ok"]
    assert len(lab.processes(service)) == 1


def test_a_deployed_bug_fails_that_share_of_the_requests_until_it_is_rolled_back(lab, sink):
    [before] = lab.processes("user-service")
    assert lab.act("user-service", "deploy", version="2.2.0", bug={"error_rate": 1.0})["ok"]
    [after] = lab.processes("user-service")
    assert after["version"] == "2.2.0"
    assert after["pid"] != before["pid"]
    labels = {"service": "user-service", "version": "2.2.0"}
    eventually(lambda: sink.value("ai_prism_deployment_timestamp", **labels) > 0, "the deployment in the metrics")
    broken = httpx.post(lab.url_of("user-service") + "/users", json={})
    assert broken.status_code == 500
    eventually(lambda: any("KeyError" in str(log) for log in list(sink.logs)), "the error's stack trace in the logs")
    outcome = lab.act("user-service", "rollback")
    assert (outcome["ok"], lab.processes("user-service")[0]["version"]) == (True, before["version"])
    assert httpx.post(lab.url_of("user-service") + "/users", json={}).status_code == 422


def test_a_bug_of_thirty_percent_fails_about_thirty_percent(lab):
    assert lab.act("feedback-service", "deploy", version="2.2.1", bug={"error_rate": 0.3})["ok"]
    url = lab.url_of("feedback-service") + "/feedback/summary"
    with httpx.Client() as client:
        statuses = [client.get(url, headers={"x-request-id": f"request-{number}"}).status_code for number in range(200)]
    assert 40 <= statuses.count(500) <= 80
    assert statuses.count(200) == 200 - statuses.count(500)
    assert lab.act("feedback-service", "rollback")["ok"]


def test_there_is_nothing_to_roll_back_before_the_first_deployment(lab):
    outcome = lab.act("model-server", "rollback")
    assert not outcome["ok"]
    assert "no earlier release" in outcome["message"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/processes/nonsense/restart", None, 404),
        ("/processes/user-service/nonsense", None, 404),
        ("/processes/model-server/scale", {"replicas": 0}, 422),
        ("/processes/model-server/scale", {"replicas": 99}, 422),
        ("/processes/model-server/deploy", {"version": ""}, 422),
        ("/processes/model-server/deploy", {"version": "3", "bug": {"error_rate": 2}}, 422),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_and_changes_nothing(lab, path, body, status):
    before = lab.processes("model-server")[0]["pid"]
    assert lab.http.post(path, json=body).status_code == status
    assert lab.processes("model-server")[0]["pid"] == before


def test_the_receivers_are_told_by_url(lab):
    urls = lab.http.get("/receivers").json()
    assert httpx.post(urls["slack"], json={"text": "hello"}).text == "ok"
    [entry] = httpx.get(urls["received"], params={"kind": "slack"}).json()["received"]
    assert entry["body"] == {"text": "hello"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_survives_its_supervisor(tmp_path, sink, number):
    lab = Lab(tmp_path / "lab", sink.url, "--no-load")
    pids = [each["pid"] for each in lab.processes()]
    assert alive(pids) == pids
    status = lab.stop(number)
    assert status == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    eventually(lambda: not alive(pids), "all processes ended")


def test_a_taken_port_is_said_at_once(tmp_path, sink):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(AssertionError, match="Address already in use"):
            Lab(tmp_path / "lab", sink.url, "--port", str(taken.getsockname()[1]))


def test_a_token_that_was_made_up_is_readable_by_its_owner_only(tmp_path):
    from aiprism_lab.supervisor import lab_token

    token = lab_token(tmp_path, "")
    assert (tmp_path / "lab.token").read_text() == token
    assert stat.S_IMODE((tmp_path / "lab.token").stat().st_mode) == 0o600
    assert lab_token(tmp_path, "given") == "given"
    assert lab_token(tmp_path, "") != token
