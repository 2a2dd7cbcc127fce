"""The Gradients client over real HTTP: never two tasks, whatever happens on the way."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from orchestrator.api_key import ApiKey
from orchestrator.failures import TrainingFailed, is_user_mistake
from orchestrator.gradients.api import Api, ApiFailed, Unclear
from orchestrator.gradients.models import GrpoRequest, SftRequest
from orchestrator.gradients.rewards import Registration, Rewards, check_source
from orchestrator.gradients.settings import ApiSettings, read_key
from orchestrator.gradients.tasks import PAGE_TASKS, Tasks
from reward_fns.gradients.standalone import standalone_source
from tests.gradients_server import KEY, Fault, GradientsServer, gradients_server

CREATE, LIST, FUNCTIONS = "/v1/tasks/create_grpo", "/v1/tasks", "/v1/grpo/reward_functions"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[GradientsServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    with gradients_server() as running:
        running.functions.append({"reward_id": str(uuid4()), "name": "sat_reward_fn", "code": ""})
        yield running


def open_api(server: GradientsServer | str, key: str = KEY, **changes: Any) -> Api:
    url = server if isinstance(server, str) else server.url
    fast = {"timeout_s": 5.0, "max_retries": 3, "retry_wait_s": 0.01, "settle_s": 0.2}
    return Api(ApiSettings(base_url=url, **(fast | changes)), ApiKey("GRADIENTS_API_KEY", key))


def grpo(server: GradientsServer, **changes: Any) -> GrpoRequest:
    reward = {"reward_id": server.functions[0]["reward_id"], "reward_weight": 0.5}
    given = {
        "model_repo": "Qwen/Qwen3-0.6B", "hours_to_complete": 2, "result_model_name": "mine",
        "ds_repo": "https://example.org/a.json", "field_prompt": "prompt",
        "extra_column": "extra_data", "reward_functions": [reward],
    }  # fmt: skip
    return GrpoRequest.model_validate(given | changes)


def sft(**changes: Any) -> SftRequest:
    given = {
        "model_repo": "Qwen/Qwen3-0.6B", "hours_to_complete": 2, "result_model_name": "mine",
        "training_data": "https://example.org/a.json", "field_instruction": "prompt",
        "field_output": "response",
    }  # fmt: skip
    return SftRequest.model_validate(given | changes)


def test_a_grpo_task_is_sent_as_the_api_has_it(server):
    done = Tasks(open_api(server)).submit(grpo(server))
    assert done.created and str(done.task_id) == server.tasks[0]["id"]
    assert server.sent("POST", CREATE) == [
        {
            "model_repo": "Qwen/Qwen3-0.6B",
            "hours_to_complete": 2,
            "result_model_name": "mine",
            "file_format": "s3",
            "ds_repo": "https://example.org/a.json",
            "field_prompt": "prompt",
            "extra_column": "extra_data",
            "reward_functions": [
                {"reward_id": server.functions[0]["reward_id"], "reward_weight": 0.5}
            ],
        }
    ]


def test_an_sft_task_is_sent_as_the_api_has_it(server):
    assert Tasks(open_api(server)).submit(sft()).created
    (sent,) = server.sent("POST", "/v1/tasks/create_custom_dataset_text")
    assert sent["training_data"] == "https://example.org/a.json"
    assert (sent["field_instruction"], sent["field_output"]) == ("prompt", "response")
    assert "test_data" not in sent


NOT_TAKEN = [Fault(429, headers={"Retry-After": "0"}), Fault(429), Fault(500), Fault(503),
             Fault(502), Fault(529), Fault(cut=True)]  # fmt: skip


@pytest.mark.parametrize("fault", NOT_TAKEN, ids=str)
def test_a_create_that_was_not_taken_is_repeated(fault, server):
    server.faults[f"POST {CREATE}"] = [fault, fault]
    assert Tasks(open_api(server)).submit(grpo(server)).created
    assert len(server.tasks) == 1
    assert len(server.sent("POST", CREATE)) == 3


TAKEN = [Fault(works=True, cut=True), Fault(500, works=True), Fault(504, works=True),
         Fault(works=True, delay_s=1.0), Fault(200, works=True, body=b"<html>"),
         Fault(200, works=True, body=b'{"success": true, "task_id": null}'),
         Fault(works=True, delay_s=0.9, late=True)]  # fmt: skip


@pytest.mark.parametrize("fault", TAKEN, ids=str)
def test_a_create_that_was_taken_though_it_failed_is_found_and_not_repeated(fault, server):
    server.faults[f"POST {CREATE}"] = [fault]
    done = Tasks(open_api(server, timeout_s=0.5, settle_s=2.0)).submit(grpo(server))
    assert done.created and str(done.task_id) == server.tasks[0]["id"]
    assert len(server.tasks) == len(server.sent("POST", CREATE)) == 1


@pytest.mark.parametrize(
    "fault", [Fault(504), Fault(works=True, delay_s=1.6, late=True), Fault(200, body=b"{")], ids=str
)
def test_a_create_that_may_still_be_at_work_is_not_repeated_but_by_the_user(fault, server):
    server.faults[f"POST {CREATE}"] = [fault]
    tasks = Tasks(open_api(server, timeout_s=0.5))
    with pytest.raises(Unclear, match="looks first and sends nothing twice") as caught:
        tasks.submit(grpo(server))
    assert len(str(caught.value).splitlines()) == 1
    assert len(server.sent("POST", CREATE)) == 1
    time.sleep(1.2)
    again = tasks.submit(grpo(server))
    assert again.created is not fault.works
    assert len(server.tasks) == 1


def test_a_create_of_unknown_outcome_ends_where_nobody_can_look(server):
    tasks = Tasks(open_api(server))
    server.faults[f"POST {CREATE}"] = [Fault(works=True, cut=True)]
    server.faults[f"GET {LIST}"] = [Fault(works=True), *[Fault(500)] * 20]
    with pytest.raises(Unclear, match="cannot be seen"):
        tasks.submit(grpo(server))
    server.faults.clear()
    assert not tasks.submit(grpo(server)).created
    assert len(server.tasks) == len(server.sent("POST", CREATE)) == 1


def test_nothing_is_created_where_the_list_cannot_be_read_first(server):
    server.faults[f"GET {LIST}"] = [Fault(500)] * 20
    with pytest.raises(ApiFailed, match=r"GET /v1/tasks fails \(4 times\): HTTP 500: trouble"):
        Tasks(open_api(server)).submit(grpo(server))
    assert server.sent("POST", CREATE) == []


def test_the_same_task_again_is_found_and_one_that_failed_is_made_anew(server):
    tasks = Tasks(open_api(server))
    first = tasks.submit(grpo(server))
    second = tasks.submit(grpo(server))
    assert (second.task_id, second.created, second.status) == (first.task_id, False, "pending")
    server.tasks[0]["status"] = "prep_task_failure"
    server.faults[f"POST {CREATE}"] = [Fault(works=True, cut=True)]
    third = tasks.submit(grpo(server))
    assert third.created and third.task_id != first.task_id
    assert len(server.tasks) == 2


def test_a_task_is_found_on_any_page(server):
    wanted = server.add_task("mine")
    for number in range(2 * PAGE_TASKS + 5):
        server.add_task(f"other-{number}")
    tasks = Tasks(open_api(server))
    assert str(tasks.submit(grpo(server)).task_id) == wanted["id"]
    assert len(tasks.all()) == 2 * PAGE_TASKS + 6


def test_a_service_without_pages_is_read_once_more_and_no_further(server):
    for number in range(PAGE_TASKS + 7):
        server.add_task(f"other-{number}")
    every = [dict(task) for task in server.tasks]
    body = json.dumps(every).encode()
    server.faults[f"GET {LIST}"] = [Fault(200, body=body)] * 5
    assert len(Tasks(open_api(server)).all()) == PAGE_TASKS + 7
    assert len(server.sent("GET", LIST)) == 2


@pytest.mark.parametrize("more", [{"task_type": "ImageTask"}, {"base_model_repository": "a/b"}])
def test_a_name_that_another_kind_of_task_has_is_refused(more, server):
    server.add_task("mine", **more)
    with pytest.raises(ValueError, match=r"--name mine: task .* has it"):
        Tasks(open_api(server)).submit(grpo(server))
    assert server.sent("POST", CREATE) == []


def test_what_the_api_refuses_is_told_by_field_and_not_sent_again(server):
    body = b'{"detail":[{"loc":["body","hours_to_complete"],"msg":"too long","input":"%s"}]}'
    server.faults[f"POST {CREATE}"] = [Fault(422, body=body % KEY.encode())]
    with pytest.raises(ValueError, match="HTTP 422: hours_to_complete: too long") as caught:
        Tasks(open_api(server)).submit(grpo(server))
    assert is_user_mistake(caught.value)
    assert KEY not in str(caught.value)
    reward = [{"reward_id": str(uuid4())}]
    with pytest.raises(ValueError, match="HTTP 400: Reward function not found"):
        Tasks(open_api(server)).submit(grpo(server, reward_functions=reward))
    assert len(server.sent("POST", CREATE)) == 2 and server.tasks == []


def test_a_wrong_key_is_told_without_it(server):
    with pytest.raises(ValueError, match="HTTP 401: the key is refused; check GRADIENTS") as caught:
        Tasks(open_api(server, "wrong-key-123")).all()
    assert "wrong-key-123" not in str(caught.value)
    assert len(server.requests) == 1


def test_a_redirect_is_not_followed_with_the_key(server):
    server.faults[f"GET {LIST}"] = [Fault(302, headers={"Location": "http://127.0.0.1:1/"})]
    with pytest.raises(ValueError, match="HTTP 302, which is not followed"):
        Tasks(open_api(server)).all()


def test_reading_is_repeated_and_waits_as_it_is_told(server):
    server.faults[f"GET {LIST}"] = [Fault(429, headers={"Retry-After": "1"}), Fault(cut=True),
                                    Fault(works=True, delay_s=1.0)]  # fmt: skip
    assert Tasks(open_api(server, timeout_s=0.5)).all() == []
    assert server.times[1] - server.times[0] >= 0.99
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b"null", b"[" * 100_000, b'[{"id": "x", "status": "y"}]', b"\xff"]
)
def test_an_answer_that_is_not_understood_is_told_in_one_line(body, server):
    server.faults[f"GET {LIST}"] = [Fault(200, body=body)]
    with pytest.raises(ApiFailed, match="not understood") as caught:
        Tasks(open_api(server)).all()
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 500


def test_a_service_that_is_down_is_told_in_one_line():
    with pytest.raises(ApiFailed, match=r"fails \(4 times\)"):
        Tasks(open_api("http://127.0.0.1:1")).all()


def test_cancel_removes_a_task_once_also_if_its_answer_is_lost(server):
    task, tasks = server.add_task("mine"), Tasks(open_api(server))
    task_id = UUID(task["id"])
    server.faults[f"DELETE {LIST}/delete/{task_id}"] = [Fault(works=True, cut=True)]
    tasks.cancel(task_id)
    assert server.tasks == []
    with pytest.raises(ValueError, match="there is no task"):
        tasks.cancel(task_id)


def test_watch_tells_each_change_and_ends(server):
    task = server.add_task("mine")
    server.statuses[task["id"]] = ["pending", "training", "training", "a_new_status", "success"]
    seen = Tasks(open_api(server)).watch(UUID(task["id"]), 0.01, 5.0)
    assert [each.status for each in seen] == ["pending", "training", "a_new_status", "success"]


@pytest.mark.parametrize("status", ["failure", "prep_task_failure", "failure_finding_nodes"])
def test_watching_a_task_that_fails_fails(status, server):
    task = server.add_task("mine", status)
    with pytest.raises(TrainingFailed, match=status):
        list(Tasks(open_api(server)).watch(UUID(task["id"]), 0.01, 5.0))


def test_watching_has_a_deadline(server):
    task = server.add_task("mine", "training")
    with pytest.raises(ApiFailed, match="still 'training'"):
        list(Tasks(open_api(server)).watch(UUID(task["id"]), 0.05, 0.2))


def test_reward_functions_are_registered_once(server):
    rewards = Rewards(open_api(server))
    server.functions.clear()
    source = check_source(standalone_source("abd", "team_"), "abd")
    server.faults[f"POST {FUNCTIONS}"] = [Fault(500), Fault(works=True, cut=True)]
    done = rewards.register(source)
    assert done == Registration("team_abd_reward_fn", UUID(server.functions[0]["reward_id"]), True)
    assert not rewards.register(source).created
    (function,) = rewards.all().values()
    assert function.name == "team_abd_reward_fn" and "nothing is executed" in function.description
    assert len(server.sent("POST", FUNCTIONS)) == 2


def test_a_name_that_other_code_has_is_not_registered(server):
    server.functions[0]["code"] = "def sat_reward_fn(completions, **kwargs):\n    return [1.0]"
    source = check_source(standalone_source("sat"), "sat")
    with pytest.raises(ValueError, match="another function is registered as sat_reward_fn"):
        Rewards(open_api(server)).register(source)
    assert len(server.functions) == 1


def test_what_the_platform_changes_of_a_source_does_not_make_it_another(server):
    code = (
        'def f(completions: list, extra_data=None, **kwargs) -> list:\n    "Doc."\n    return [1]'
    )
    helper = "    def restricted_execution(code, input_data):\n        return '', ''\n"
    kept = f"def f(completions, extra_data=None, **kwargs):\n{helper}    '''Doc.'''\n    return [1]"
    server.functions[0] |= {"name": "f", "code": kept}
    assert not Rewards(open_api(server)).register(check_source(code, "f.py")).created


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("def f(", "no Python source"),
        ("x = 1", "one function and nothing else"),
        ("import json\ndef f(completions, **kwargs): return []", "imports in its body"),
        ("def f(completions, **k): return []\ndef g(completions, **k): return []", "one function"),
        ("def f(completions): return []", "of the form"),
        ("def f(prompts, completions, **kwargs): return []", "of the form"),
    ],
)
def test_a_source_that_the_platform_refuses_is_refused_here(code, why):
    with pytest.raises(ValueError, match=why):
        check_source(code, "mine.py")


def test_rewards_are_chosen_by_name_or_id(server):
    rewards, by_id = Rewards(open_api(server)), uuid4()
    first, second = rewards.weighted([("sat_reward_fn", 0.25), (str(by_id), 1.0)])
    assert (str(first.reward_id), first.reward_weight) == (server.functions[0]["reward_id"], 0.25)
    assert second.reward_id == by_id
    with pytest.raises(ValueError, match="--reward nope: no such function"):
        rewards.weighted([("nope", 1.0)])


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://api.gradients.io", "not https"),
        ("https://u:p@api.gradients.io", "user or password"),
        ("api.gradients.io", "no address"),
        ("https://api.gradients.io/?a=1", "no address"),
        ("ftp://api.gradients.io", "no address"),
    ],
)
def test_the_key_goes_over_safe_addresses_only(url, why):
    with pytest.raises(ValueError, match=why):
        ApiSettings(base_url=url)


def test_the_key_comes_from_its_own_variable():
    assert read_key({"GRADIENTS_API_KEY": KEY}).value == KEY
    with pytest.raises(ValueError, match="set GRADIENTS_API_KEY"):
        read_key({"OPENAI_API_KEY": KEY})


def test_the_key_is_nowhere(server, caplog, capfd, tmp_path: Path):
    caplog.set_level("DEBUG")
    api = open_api(server)
    server.faults[f"GET {LIST}"] = [Fault(500, body=f'{{"detail":"{KEY}"}}'.encode())] * 20
    with pytest.raises(ApiFailed) as caught:
        Tasks(api).all()
    out, err = capfd.readouterr()
    for text in (out, err, caplog.text, str(caught.value), repr(vars(api))):
        assert KEY not in text
