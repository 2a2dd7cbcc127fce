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


SATURATED = 0.95
"""A mean reward above which there is nothing left to learn."""
UNDONE = "updates too large undo what was learned"


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
    name, went = str(stage["name"]), f"mean reward went from {curve.start:.2f} to {curve.end:.2f}"
    if _fell(found):
        text = f"The reward fell back: {went}, after {max(curve.values):.2f} at its best."
        key = f"{_lower_rate(stage)}, or beta{_now(stage, 'beta')} higher"
        return Finding("warning", name, text, UNDONE, key)
    if min(curve.start, curve.end) >= SATURATED:
        text = f"Nearly everything was solved from the start: the {went}."
        key = "harder sizes in the dataset leave something to learn"
        return Finding("note", name, text, key=key)
    if curve.end - curve.start < 0.02:
        return Finding(
            "warning", name, f"The reward did not rise: {went}.", *_why_flat(stage, found)
        )
    if curve.end - curve.middle > 0.02:
        text = f"The {went} and was still rising at the end."
        key = f"more max_steps{_now(stage, 'max_steps')} may go further"
        return Finding("note", name, text, key=key)
    return Finding("good", name, f"The {went}.")


def _why_flat(stage: Row, found: Curves) -> tuple[str, str]:
    """The likely cause of a reward that does not rise, and what to change."""
    alike, entropy = found.get("groups/zero_variance"), found.get("policy/entropy")
    if alike is not None and alike.end > 0.8:
        return (
            "hardly any group holds both right and wrong answers, and the others teach nothing",
            "a longer SFT stage, easier problems, or more num_generations"
            + _now(stage, "num_generations"),
        )
    if entropy is not None and abs(entropy.end - entropy.start) < 0.05 * entropy.start:
        return (
            f"groups teach, and yet the policy stands still: its entropy stayed at "
            f"{entropy.end:.3f} nats a token",
            f"learning_rate{_now(stage, 'learning_rate')} higher, or more max_steps",
        )
    return (
        "the policy moves, and not towards higher rewards: updates too large, or too noisy",
        f"{_lower_rate(stage)}, or more num_generations{_now(stage, 'num_generations')}",
    )


def _fell(found: Curves) -> bool:
    """Whether the reward ended far below its best, or at nothing."""
    curve = found.get("reward/mean")
    if curve is None:
        return False
    return curve.fall > 0.15 or (max(curve.values) > 0.05 and curve.end < 0.01)


def _stale(found: Curves, metric: str) -> bool:
    """Whether a metric of the groups that train was not measured in the last tenth of the stage."""
    last = max(curve.steps[-1] for curve in found.values())
    return found[metric].steps[-1] < 0.9 * last


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
    saturated = reward is not None and reward.end >= SATURATED
    refill = f"dynamic_sampling: refill{_now(stage, 'dynamic_sampling')}"
    if _fell(found) and not solved:
        return Finding("warning", str(stage["name"]), text, UNDONE, _lower_rate(stage))
    if solved:
        none = "" if saturated else " or by none"
        cause = f"most problems are solved by every sample{none}: such groups teach nothing"
        key = f"harder sizes in the dataset, or {refill}"
    else:
        cause = "most problems are solved by no sample: such groups teach nothing"
        key = f"easier sizes in the dataset, a longer SFT stage, or {refill}"
    limit = 1.0 if saturated else 0.95 if solved else 0.8
    level = "warning" if curve.end > limit else "note"
    return Finding(level, str(stage["name"]), text, cause, key)


def _entropy(stage: Row, found: Curves) -> Finding | None:
    curve, reward = found.get("policy/entropy"), found.get("reward/mean")
    if curve is None:
        return None
    name, solved = str(stage["name"]), reward is not None and reward.end >= SATURATED
    text = f"Entropy went from {curve.start:.3f} to {curve.end:.3f} nats a token"
    stale = _stale(found, "policy/entropy")
    if stale:
        text += f" by step {curve.steps[-1]:,}, the last at which a group trained the policy"
    if curve.end < 0.02:
        cause = "the policy answers almost the same each time: samples no longer explore"
        key = f"entropy_coef{_now(stage, 'entropy_coef')} higher, or {_lower_rate(stage)}"
        return Finding("note" if solved else "warning", name, f"{text}.", cause, key)
    if stale:
        cause = "all completions of a group score the same since then"
        key = "" if solved else _lower_rate(stage)
        return Finding("note" if solved else "warning", name, f"{text}.", cause, key)
    if curve.end > 2 * curve.start and curve.end > 0.5:
        cause = "the policy drifts towards random answers"
        key = f"entropy_coef{_now(stage, 'entropy_coef')} lower, or {_lower_rate(stage)}"
        return Finding("warning", name, f"{text}.", cause, key)
    return Finding("good", name, f"{text}.")


def _gradient(stage: Row, found: Curves) -> Finding | None:
    curve = found.get("optim/grad_norm")
    if curve is None or curve.end <= 10 * curve.start:
        return None
    text = f"The gradient's norm went from {curve.start:.3g} to {curve.end:.3g}."
    return Finding("warning", str(stage["name"]), text, "training diverges", _lower_rate(stage))


def _truncated(stage: Row, found: Curves) -> Finding | None:
    curve, reward = found.get("completions/truncated"), found.get("reward/mean")
    if curve is None:
        return None
    name, cut = str(stage["name"]), found.get("completions/truncated_reward")
    text = "Completions cut for length: "
    text += f"{_share(curve.start)} at first, {_share(curve.end)} at the end."
    if curve.end <= 0.05:
        return Finding("good", name, text)
    key = f"max_completion_length{_now(stage, 'max_completion_length')} higher"
    if cut is not None and reward is not None and cut.end > reward.end / 2:
        text += f" They score {cut.end:.2f} on average, all completions {reward.end:.2f}:"
        text += " most hold a whole answer, and lack only their end."
        return Finding("note", name, text, key=f"{key}, if they are to end by themselves")
    if _fell(found):
        return Finding("warning", name, text, UNDONE, _lower_rate(stage))
    return Finding("warning", name, text, "the model does not stop within the limit", key)


def _malformed(stage: Row, found: Curves) -> Finding | None:
    curve = found.get("reward/malformed")
    if curve is None:
        return None
    name = str(stage["name"])
    text = "Answers that could not be read: "
    text += f"{_share(curve.start)} at first, {_share(curve.end)} at the end."
    if curve.end <= 0.05:
        return Finding("good", name, text)
    if _fell(found):
        return Finding("warning", name, text, UNDONE, _lower_rate(stage))
    cause = "the model has not learned the answer's format"
    key = "a longer SFT stage with more rows in the answer's format"
    return Finding("warning", name, text, cause, key)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A share, or a distance, that should stay below a limit while groups train the policy."""

    metric: str
    limit: float
    text: str
    cause: str
    key: str

    def __call__(self, stage: Row, found: Curves) -> Finding | None:
        """Return a warning where the curve ends above the limit, and a good finding else.

        Where no group trained at the end, a low value tells nothing.
        """
        curve = found.get(self.metric)
        if curve is None:
            return None
        text = self.text.format(start=curve.start, end=curve.end).replace("%", "\u00a0%")
        if curve.end <= self.limit:
            good = Finding("good", str(stage["name"]), text)
            return None if _stale(found, self.metric) else good
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
    _gradient,
    _truncated,
    _malformed,
)
"""All rules, in the order in which a report tells them."""


def _lower_rate(stage: Row) -> str:
    return f"learning_rate{_now(stage, 'learning_rate')} lower"


def _share(value: float) -> str:
    return f"{100 * value:.1f}\u00a0%"


def _now(stage: Row, key: str) -> str:
    return f" (now {stage[key]})" if stage.get(key) is not None else ""
