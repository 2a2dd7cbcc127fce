"""A policy that has learned the format of an answer, for the tests that sample."""

import copy
from collections.abc import Iterator

import pytest

from tests.small_policy import format_policy
from trainers.models.load import Policy


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return format_policy(tmp_path_factory.mktemp("sft"))


@pytest.fixture
def policy(trained: Policy) -> Iterator[Policy]:
    before = copy.deepcopy(trained.model.state_dict())
    yield trained
    trained.model.load_state_dict(before)
    trained.model.zero_grad(set_to_none=True)
