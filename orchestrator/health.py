"""GRPO health in words: what a stage's metrics say, why, and which config key to change.

Each rule looks at one stage's curves and returns a finding, or None where it has nothing to say. A
metric that was not recorded is named as missing by `unrecorded`, never assumed to be fine.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.curves import Curve
from orchestrator.run_files import Row

Curves = Mapping[str, Curve]

WATCHED = {
    "reward/mean": "reward",
    "groups/zero_variance": "share of groups without variance",
    "policy/entropy": "entropy",
    "policy/clip_fraction": "clip fraction",
    "sampler/mismatch": "difference between sampler and trainer",
    "completions/truncated": "share of truncated completions",
    "reward/malformed": "share of unreadable answers",
    "optim/grad_norm": "gradient norm",
}
"""The metrics that the rules read, with their names in words."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence on a stage's health; a warning also has a cause and the key to change."""

    level: str
    stage: str
    text: str
    cause: str = ""
    key: str = ""


Rule = Callable[[Row, Curves], Finding | None]


def grpo_health(stage: Row, found: Curves) -> list[Finding]:
    """Return the findings on one GRPO stage, warnings first; `stage` is its config."""
    findings = [finding for rule in RULES if (finding := rule(stage, found)) is not None]
    return sorted(findings, key=lambda finding: finding.level != "warning")


def unrecorded(found: Curves) -> list[str]:
    """Return the watched metrics that a stage did not record, in words."""
    return [words for metric, words in WATCHED.items() if metric not in found]


def _reward(stage: Row, found: Curves) -> Finding | None:
    curve = found.get("reward/mean")
    if curve is None:
        return None
    name, peak = str(stage["name"]), max(curve.values)
    went = f"mean reward went from {curve.start:.2f} to {curve.end:.2f}"
    if curve.end - curve.start < 0.02:
        cause = "groups rarely hold both right and wrong answers, or the rate is too low"
        key = f"a longer SFT stage, easier problems, or learning_rate{_now(stage, 'learning_rate')}"
        return Finding("warning", name, f"The reward did not rise: {went}.", cause, key)
    if peak - curve.end > 0.15:
        cause = f"it had reached {peak:.2f} before; updates too large undo what was learned"
        key = f"learning_rate{_now(stage, 'learning_rate')} lower, or beta{_now(stage, 'beta')}"
        return Finding("warning", name, f"The reward fell back: {went}.", cause, key)
    if curve.end - curve.middle > 0.02:
        text = f"The {went} and was still rising at the end."
        key = f"more max_steps{_now(stage, 'max_steps')} may go further"
        return Finding("note", name, text, key=key)
    return Finding("good", name, f"The {went}.")


def _zero_variance(stage: Row, found: Curves) -> Finding | None:
    curve = found.get("groups/zero_variance")
    if curve is None:
        return None
    text = f"Groups whose completions all scored the same: {_share(curve.start)} at first, "
    text += f"{_share(curve.end)} at the end."
    if curve.end <= 0.5:
        return Finding("good", str(stage["name"]), text)
    reward = found.get("reward/mean")
    solved = reward is not None and reward.end >= 0.5
    if solved:
        cause = "most problems are solved by every sample: such groups teach nothing"
        key = "harder sizes in the dataset, or "
    else:
        cause = "most problems are solved by no sample: such groups teach nothing"
        key = "easier sizes in the dataset, a longer SFT stage, or "
    key += f"dynamic_sampling: refill{_now(stage, 'dynamic_sampling')}"
    level = "warning" if curve.end > 0.8 and not solved else "note"
    return Finding(level, str(stage["name"]), text, cause, key)


def _entropy(stage: Row, found: Curves) -> Finding | None:
    curve = found.get("policy/entropy")
    if curve is None:
        return None
    text = f"Entropy went from {curve.start:.3f} to {curve.end:.3f} nats a token."
    if curve.end < 0.02 and curve.end < curve.start / 4:
        cause = "the policy answers almost the same each time: samples no longer explore"
        key = f"entropy_coef{_now(stage, 'entropy_coef')} higher, or learning_rate lower"
        return Finding("warning", str(stage["name"]), text, cause, key)
    if curve.end > 2 * curve.start and curve.end > 0.5:
        cause = "the policy drifts towards random answers"
        key = f"entropy_coef{_now(stage, 'entropy_coef')} or learning_rate lower"
        return Finding("warning", str(stage["name"]), text, cause, key)
    return Finding("good", str(stage["name"]), text)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A share, or a distance, that should stay below a limit at the end of training."""

    metric: str
    limit: float
    text: str
    cause: str
    key: str

    def __call__(self, stage: Row, found: Curves) -> Finding | None:
        """Return a warning where the curve ends above the limit, and a good finding else."""
        curve = found.get(self.metric)
        if curve is None:
            return None
        text = self.text.format(start=curve.start, end=curve.end).replace("%", "\u00a0%")
        if curve.end <= self.limit:
            return Finding("good", str(stage["name"]), text)
        key = self.key + _now(stage, self.key.split()[0])
        return Finding("warning", str(stage["name"]), text, self.cause, key)


RULES: tuple[Rule, ...] = (
    _reward,
    _zero_variance,
    _entropy,
    Ceiling(
        "policy/clip_fraction",
        0.2,
        "Clipped tokens: {end:.1%} at the end.",
        "the policy moves far from the one that sampled",
        "learning_rate lower, or fewer num_iterations or steps_per_generation",
    ),
    Ceiling(
        "policy/kl",
        1.0,
        "Distance to the reference model (KL): {end:.3g} nats a token at the end.",
        "the policy has left the model that the stage started from",
        "beta higher, or learning_rate lower",
    ),
    Ceiling(
        "sampler/mismatch",
        0.05,
        "Sampler and trainer differ by {end:.2g} in log-probability at the end.",
        "the two compute the same tokens with different precision",
        "bf16 off",
    ),
    Ceiling(
        "completions/truncated",
        0.05,
        "Completions cut for length: {start:.1%} at first, {end:.1%} at the end.",
        "the model does not stop within the limit",
        "max_completion_length higher",
    ),
    Ceiling(
        "reward/malformed",
        0.05,
        "Answers that could not be read: {start:.1%} at first, {end:.1%} at the end.",
        "the model has not learned the answer's format",
        "a longer SFT stage with more rows in the answer's format",
    ),
)
"""All rules, in the order in which a report tells them."""


def _share(value: float) -> str:
    return f"{100 * value:.1f}\u00a0%"


def _now(stage: Row, key: str) -> str:
    return f" (now {stage[key]})" if stage.get(key) is not None else ""
