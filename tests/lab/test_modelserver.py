"""The model server as an OpenAI client sees it, and what its client makes of the answers."""

import asyncio
import json
import random
from typing import Any

import httpx
import pytest

from aiprism.sdk.control import Command, controls
from aiprism_lab import modelserver
from aiprism_lab.modelclient import (
    ModelClient,
    ModelFailedError,
    ModelReply,
    cost_usd,
    feedback_in,
    outline_prompt,
    section_prompt,
)
from aiprism_lab.modelserver import MODELS, Message, completion, tokens
from aiprism_lab.wiring import LAB_MODELS, Peers, Price, Settings, Topology
from tests.lab.appclient import AppClient
from tests.lab.provider import provider

TEXT = "The report was written in a hurry. The broker is a single point of failure, and data loss is possible."


@pytest.fixture
def server(tmp_path):
    return AppClient(modelserver.build(Settings(service="model-server", instance="model-server-1", data=tmp_path)))


def ask(server, prompt=TEXT, **fields) -> httpx.Response:
    body = {"model": "claude-sonnet", "messages": [{"role": "user", "content": prompt}]}
    answer: httpx.Response = server.post("/v1/chat/completions", json=body | fields)
    return answer


def test_a_completion_has_openais_form(server):
    answer = ask(server).json()
    assert (answer["object"], answer["model"]) == ("chat.completion", "claude-sonnet")
    [choice] = answer["choices"]
    assert (choice["message"]["role"], choice["finish_reason"]) == ("assistant", "stop")
    usage = answer["usage"]
    assert usage["completion_tokens"] == tokens(choice["message"]["content"])
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_the_models_are_listed(server):
    assert {each["id"] for each in server.get("/v1/models").json()["data"]} == set(LAB_MODELS) == set(MODELS)


def test_the_same_prompt_gets_the_same_feedback(server):
    first, second = (ask(server).json()["choices"][0]["message"]["content"] for _ in range(2))
    assert first == second
    assert {"risk_words", "passive_voice"} <= {item["category"] for item in json.loads(first)["feedback"]}


def test_the_smaller_model_marks_less(server):
    counts = {
        name: len(json.loads(ask(server, model=name).json()["choices"][0]["message"]["content"])["feedback"])
        for name in MODELS
    }
    assert 0 < counts["claude-haiku"] < counts["claude-sonnet"]


def test_a_stream_adds_up_to_the_whole_answer(server):
    whole = ask(server).json()["choices"][0]["message"]["content"]
    lines = [line.removeprefix("data: ") for line in ask(server, stream=True).text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
    assert "".join(delta.get("content", "") for delta in deltas) == whole


def test_an_answer_is_cut_at_the_limit(server):
    answer = ask(server, max_tokens=5).json()
    assert (answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]) == ("length", 5)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "no-such-model", "messages": [{"role": "user", "content": "x"}]}, 404, "model_not_found"),
        ({"model": "claude-haiku", "messages": [{"role": "system", "content": "x"}]}, 400, "invalid_value"),
    ],
)
def test_a_wrong_request_gets_openais_error(server, body, status, code):
    answer = server.post("/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_an_injected_fault_becomes_a_server_error_and_ends_when_revoked(server):
    fault = {"error_rate": 1.0, "error_message": "the model is overloaded"}
    controls.apply(Command("fault-1", "model.invoke", "fault_point", "inject", fault), 0.0)
    failed = ask(server)
    assert (failed.status_code, failed.json()["error"]["message"]) == (500, "the model is overloaded")
    controls.revoke("fault-1")
    assert ask(server).status_code == 200


def test_a_fault_of_one_model_leaves_the_other_alone(server):
    fault = {"error_rate": 1.0}
    controls.apply(Command("fault-2", "model.invoke.claude-haiku", "fault_point", "inject", fault), 0.0)
    assert [ask(server, model=name).status_code for name in ("claude-haiku", "claude-sonnet")] == [500, 200]
    controls.revoke("fault-2")


@pytest.mark.parametrize("name", MODELS)
def test_latency_grows_with_the_tokens_and_stays_lively(name):
    model = MODELS[name]
    assert 0.03 < model.latency(50, 10) < model.latency(400, 300) < 0.26
    assert model.latency(10**6, 10**6) == 0.5


def test_a_section_and_an_outline_are_asked_for_in_words_the_model_understands():
    def answer(prompt) -> Any:
        return json.loads(completion(MODELS["claude-sonnet"], [Message(role="user", content=prompt)]))["feedback"]

    [first, *_] = answer(section_prompt("2. Liability", "liability", "There is unlimited liability."))
    assert (first["section"], first["severity"]) == ("2. Liability", "high")
    assert "missing_content" in {
        item["category"] for item in answer(section_prompt("Cost", "budget", "It costs money."))
    }
    missing = answer(outline_prompt("policy", ["Purpose", "Scope", "Rules"]))
    assert [item["section"] for item in missing] == ["Responsibilities", "Enforcement"]


@pytest.mark.parametrize(
    ("price", "prompt", "completion_tokens", "usd"),
    [
        (Price(3.0, 15.0), 1000, 200, 0.006),
        (Price(0.8, 4.0), 1_000_000, 0, 0.8),
        (Price(0.8, 4.0), 0, 1_000_000, 4.0),
        (Price(3.0, 15.0), 0, 0, 0.0),
    ],
)
def test_cost_is_tokens_times_price(price, prompt, completion_tokens, usd):
    assert cost_usd(price, prompt, completion_tokens) == pytest.approx(usd)


def test_usable_remarks_are_taken_and_others_counted():
    raw = [
        {"message": "Too long", "severity": "low", "suggestion": "Cut"},
        {"message": "No severity"},
        {"severity": "high"},
        {"message": "Odd", "severity": "terrible"},
        "text",
    ]
    usable, refused = feedback_in(f"```json\n{json.dumps({'feedback': raw})}\n```", "Scope")
    assert [(item.section, item.message, item.category) for item in usable] == [("Scope", "Too long", "general")]
    assert refused == 4


@pytest.mark.parametrize("content", ["", "Sure! Here is my feedback.", "[]", '{"feedback": "none"}', '{"remarks": []}'])
def test_an_answer_without_feedback_is_a_failure_of_the_model(content):
    with pytest.raises(ModelFailedError):
        feedback_in(content, "Scope")


def test_a_real_provider_is_asked_with_key_and_model_when_one_is_named(tmp_path):
    """Against a provider's stand-in on a socket of its own: URL, key, prices."""

    with provider('{"feedback": [{"message": "Fine", "severity": "low", "suggestion": "Keep"}]}') as found:
        settings = Settings(
            service="ai-analysis-service",
            instance="ai-analysis-service-1",
            data=tmp_path,
            model_url=found.url + "/v1/",
            model_key="secret-key",
            models={"large": Price(2.0, 10.0)},
        )

        async def once() -> ModelReply:
            peers = Peers(Topology(settings.topology))
            client = ModelClient(settings, peers)
            try:
                return await client.ask("large", section_prompt("Scope", "scope", "All of it."), "Scope")
            finally:
                await client.aclose()
                await peers.aclose()

        reply = asyncio.run(once())
    assert [item.message for item in reply.feedback] == ["Fine"]
    assert reply.tokens == 150
    assert reply.cost_usd == pytest.approx(0.0007)
    [(path, authorization, body)] = found.requests
    assert (path, authorization, body["model"]) == ("/v1/chat/completions", "Bearer secret-key", "large")


def test_chance_picks_models_by_their_weight():
    weights = controls.traffic_weight("test-models", {"large": 0.75, "small": 0.25})
    chance = random.Random(1)
    picked = [weights.pick(chance) for _ in range(1000)]
    assert 700 < picked.count("large") < 800
