"""Which key goes to which service, and that it is never shown."""

import pytest

from orchestrator.api_key import ApiKey, find_api_key

CHUTES = "https://llm.chutes.ai/v1"
OPENAI = "https://api.openai.com/v1"
OWN = "http://localhost:8000/v1"
BOTH = {"CHUTES_API_KEY": "cpk_1", "OPENAI_API_KEY": "sk-1"}


@pytest.mark.parametrize(
    ("url", "environment", "variable"),
    [
        (CHUTES, BOTH, "CHUTES_API_KEY"),
        (OPENAI, BOTH, "OPENAI_API_KEY"),
        (OWN, BOTH, "OPENAI_API_KEY"),
        (OWN, {"CHUTES_API_KEY": "cpk_1"}, "CHUTES_API_KEY"),
        (OWN, {"CHUTES_API_KEY": "cpk_1", "OPENAI_API_KEY": "  "}, "CHUTES_API_KEY"),
        ("https://notchutes.ai/v1", BOTH, "OPENAI_API_KEY"),
        ("https://chutes.ai.example.org/v1", BOTH, "OPENAI_API_KEY"),
    ],
)
def test_each_service_gets_its_own_key(
    url: str, environment: dict[str, str], variable: str
) -> None:
    key = find_api_key(url, environment)
    assert (key.variable, key.value) == (variable, environment[variable])


@pytest.mark.parametrize(
    ("url", "environment", "named"),
    [
        (CHUTES, {"OPENAI_API_KEY": "sk-1"}, "set CHUTES_API_KEY in"),
        (OPENAI, {"CHUTES_API_KEY": "cpk_1"}, "set OPENAI_API_KEY in"),
        (OWN, {}, "set OPENAI_API_KEY or CHUTES_API_KEY in"),
        (OWN, {"OPENAI_API_KEY": " \n"}, "set OPENAI_API_KEY or CHUTES_API_KEY in"),
    ],
)
def test_a_service_is_not_sent_the_key_of_another(
    url: str, environment: dict[str, str], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        find_api_key(url, environment)


@pytest.mark.parametrize("value", ["sk-\n1", "sk 1", "sk-é", "sk-\x00"])
def test_a_key_that_no_header_can_hold_is_refused_unseen(value: str) -> None:
    with pytest.raises(ValueError, match="OPENAI_API_KEY is no key") as caught:
        find_api_key(OWN, {"OPENAI_API_KEY": value})
    assert value not in str(caught.value)


def test_a_key_is_hidden() -> None:
    key = ApiKey("OPENAI_API_KEY", "sk-secret")
    assert "sk-secret" not in repr(key)
    assert key.hidden_in("Bearer sk-secret!") == "Bearer [redacted]!"
