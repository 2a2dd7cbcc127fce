"""Reads one recorded result: what upstream's SFT record holds of it, or why it is not used."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from datagen.evaluations.challenges import challenge_env
from datagen.evaluations.config import EvaluationsConfig
from datagen.evaluations.fields import Dropped, boolean, field, number, text, whole_number
from reward_fns.records import Problem

UNKNOWN_MODEL = "unknown"
"""Upstream's name for the model of a result that names none."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One result that can be used; `task` is its environment's plain name, as `sat`."""

    prompt: str
    model: str
    response: str
    environment: str
    score: float
    miner_uid: int
    response_success: bool
    response_latency: float
    challenge_id: str | None
    task: str
    label: str
    env: str
    verified_score: float | None = None

    @property
    def digest(self) -> str:
        """The sha256 of what makes two results the same: environment, prompt and response."""
        same = json.dumps([self.task, self.prompt, self.response], ensure_ascii=False)
        return hashlib.sha256(same.encode()).hexdigest()

    def problem(self, split: str, index: int) -> Problem:
        """The row of a dataset; the recorded evaluation is kept under `difficulty`."""
        recorded = {
            name: getattr(self, name)
            for name in (
                "model", "environment", "score", "miner_uid", "response_success",
                "response_latency", "challenge_id", "verified_score",
            )
        }  # fmt: skip
        difficulty = json.dumps(
            {"label": self.label, "evaluation": recorded}, ensure_ascii=False, separators=(",", ":")
        )
        row_id = f"{self.task}:result:{self.digest[:32]}"
        return Problem(
            row_id, self.task, split, index, self.prompt, self.response, self.env, difficulty
        )

    def verified(self, score: float | None) -> "Evaluation":
        """The same with our own score."""
        return replace(self, verified_score=score)


def read_result(item: Any, config: EvaluationsConfig) -> Evaluation:
    """Return the evaluation that a result records; Dropped tells why it is not used.

    Reasons that begin with `invalid: ` name the first field that is missing or not of its type.
    """
    if not isinstance(item, dict):
        raise Dropped("invalid: not an object")
    task = plain_name(text(item, "challenge.env"))
    score = number(item, "evaluation.score")
    fields: dict[str, Any] = {
        "prompt": text(item, "challenge.prompt"),
        "model": _text_or_none(item, "miner.model") or UNKNOWN_MODEL,
        "environment": text(item, "challenge.env"),
        "miner_uid": whole_number(item, "miner.uid"),
        "response_success": boolean(item, "response.success"),
        "response_latency": number(item, "response.latency_seconds"),
        "challenge_id": _text_or_none(item, "challenge.challenge_id"),
    }
    if config.env and task not in config.env:
        raise Dropped("another environment")
    if score < config.min_score:
        raise Dropped("below min_score")
    if field(item, "response.response") is None or _is_blank(item["response"]["response"]):
        raise Dropped("empty response")
    response = text(item, "response.response")
    label, env = challenge_env(task, item)
    return Evaluation(**fields, response=response, score=score, task=task, label=label, env=env)


def plain_name(environment: str) -> str:
    """Return the plain name of an environment: `sat` of `SAT` and of `affine:sat`."""
    return environment.rpartition(":")[2].strip().lower()


def _text_or_none(item: dict[str, Any], path: str) -> str | None:
    """A text that a result may lack."""
    return None if field(item, path, optional=True) in (None, "") else text(item, path)


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()
