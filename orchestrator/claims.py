"""What a run shows and what it does not, in plain words, each sentence from a figure of the run."""

from collections.abc import Mapping
from typing import Any

from orchestrator.comparison import Measure, measures
from orchestrator.run_files import Row, RunFiles
from orchestrator.table import guess

Block = Mapping[str, Any]

VERDICTS = {
    "improved": "Improved",
    "tied": "Tied",
    "worse": "Worse",
    "mixed": "Mixed: better by one measure and worse by another",
}
"""The run's verdict, which follows every measure, in words."""


def headline(run: RunFiles, result: Block) -> tuple[str, str]:
    """Return the verdict in a word or two, and one sentence with rates and intervals."""
    gain, checkpoints = result.get("gain"), result["checkpoints"]
    if not checkpoints:
        return "Not evaluated", "This run holds no evaluation, so it shows nothing about the model."
    if not gain:
        return "No comparison", "Only one checkpoint was evaluated, so there is no gain to tell."
    metric = "greedy" if "greedy" in gain else "pass@1"
    if metric not in gain:
        return "No comparison", "The two checkpoints have no scored problem in common."
    before, after = (checkpoints[gain[side]][metric] for side in ("before", "after"))
    how = "at the first, greedy try" if metric == "greedy" else "in a single sample"
    found = list(measures(result))
    main = next(m for m in found if not m.part and m.metric == metric)
    clear = " not clear:" if main.verdict == "tied" else ""
    return VERDICTS[result.get("verdict") or gain["verdict"]], (
        f"After {called(gain['after'])} the model solves {percent(after['rate'])} of "
        f"{after['n']:,} {'held-out ' if is_separate(run) else ''}problems {how}; before it "
        f"({called(gain['before'])}), {percent(before['rate'])}. The difference is{clear} "
        f"{points(gain[metric])}."
        + "".join(_otherwise(main, found, word) for word in ("worse", "improved"))
    )


def _otherwise(main: Measure, found: list[Measure], word: str) -> str:
    """Name the measures that went `word`, where the headline's own did not."""
    named = [f"{m.name}, {points(m.difference)}" for m in found if m.verdict == word]
    if main.verdict == word or not named:
        return ""
    return f" Clearly {'worse' if word == 'worse' else 'better'}: {'; '.join(named)}."


def is_separate(run: RunFiles) -> bool:
    """Return whether training and evaluation are different splits of one dataset.

    The splits of a dataset share no problem; between two datasets nothing checks that.
    """
    evaluated = run.evaluation
    splits = evaluated.get("splits") or ["test"]
    return bool(run.stages) and all(
        stage.get("dataset") == evaluated.get("dataset")
        and (stage.get("split") or "train") not in splits
        for stage in run.stages
    )


def called(checkpoint: str) -> str:
    """Return a checkpoint's name as a sentence calls it: the methods in capitals."""
    return checkpoint.upper() if checkpoint in ("sft", "grpo") else checkpoint


def shows(run: RunFiles, result: Block) -> list[str]:
    """Return what the run's figures support."""
    return [
        *_training_source(run),
        *(_of_tasks(result) or _against_chance(result)),
        *_held_out(result),
        *_each_size(result),
    ]


def shows_not(run: RunFiles, result: Block) -> list[str]:
    """Return what the run's figures do not support, so that nobody reads it into them."""
    limits = []
    if (run.config.get("sandbox") or {}).get("mode") == "unsafe":
        limits.append(
            "Programs were run WITHOUT the guards of the sandbox (sandbox.mode is unsafe): nothing "
            "kept them from this machine's files and network, nor from the run's own."
        )
    if learned_from(run) == "checker":
        limits.append(
            "It is not a comparison with supervised learning on gold answers: this run trained no "
            "such model, and on small problems such a model may well solve more."
        )
    limits.append(
        "The intervals cover the choice of problems, not the luck of training: this is one seed "
        f"({run.config.get('seed', 'not recorded')}). Run other seeds to see that spread."
    )
    if not is_separate(run):
        limits.append(
            "Whether training had seen some of the evaluated problems is not certain: not every "
            "stage trained on other splits of the evaluated dataset."
        )
    wide = [m for m in result.get("gain") or {} if m.startswith("pass@") and m != "pass@1"]
    for metric in wide:
        difference = result["gain"][metric]
        if difference["low"] <= 0:
            limits.append(
                f"It is not a wider reach: with several samples ({metric}) the difference is "
                f"{points(difference)}."
            )
    if not result.get("unseen") and not result.get("held_out_sizes"):
        limits.append(
            "It says nothing about other sizes or kinds of problems: none that training had not "
            "seen was evaluated."
            if result.get("held_out_sizes") is not None
            else "Which sizes training had seen is missing from the datasets' manifests."
        )
    return [*limits, *_left_out(result)]


def learned_from(run: RunFiles) -> str:
    """Return what supervised stages learned from: "checker" (no gold answer), "gold", "unknown"."""
    if not run.stages:
        return "unknown"
    kinds = ("gold", "unknown")
    return next((kind for kind in kinds if _tasks_learned_from(run, kind)), "checker")


def percent(rate: float) -> str:
    """Return a rate as "84.1 %", with a space that does not break."""
    return f"{100 * rate:.1f}\u00a0%"


def points(difference: Block) -> str:
    """Return a paired difference as "+59.5 points (95 % interval +56.1 to +62.6)"."""
    mean, low, high = (100 * difference[key] for key in ("difference", "low", "high"))
    return f"{mean:+.1f} points (95\u00a0% interval {low:+.1f} to {high:+.1f})"


def _sources(run: RunFiles, stage: Row) -> dict[str, str]:
    """What a supervised stage learned from, by task: "checker", "gold" or "unknown"."""
    name, split = str(stage.get("dataset")), stage.get("split") or "train"
    manifest = run.dataset_manifest(name)
    config = manifest.get("config") or run.dataset_config(name)
    tasks = [str(task) for task in manifest.get("tasks") or ()]
    parts = {task: config[task] for task in tasks if task in config}
    parts = parts or {tasks[0] if tasks else "its task": config}
    found = {task: (part.get("splits") or {}).get(split) for task, part in parts.items()}
    return {
        task: "checker" if isinstance(s, Mapping) and s.get("demonstrations") else "gold"
        for task, s in found.items()
        if s is not None
    } or {"its task": "unknown"}


def _tasks_learned_from(run: RunFiles, kind: str) -> list[str]:
    """The tasks of which some supervised stage learned from `kind`."""
    stages = [stage for stage in run.stages if stage.get("type") == "sft"]
    found = [item for stage in stages for item in _sources(run, stage).items()]
    return list(dict.fromkeys(task for task, source in found if source == kind))


def _training_source(run: RunFiles) -> list[str]:
    grpo = [stage for stage in run.stages if stage.get("type") == "grpo"]
    checkers = sorted({name for stage in grpo for name in _checkers(run, stage)})
    checker = f"the score of the checker ({', '.join(checkers)})"
    source = learned_from(run)
    if source == "checker" and grpo:
        return [
            "The gain was learned from the checker alone: no gold answer and no solver's answer "
            f"was used in training. GRPO saw only {checker}; the warm-up's demonstrations "
            "show the format and steps on the way, and no answer that was chosen to be right."
            if len(grpo) < len(run.stages)
            else f"The model was trained by GRPO alone and saw only {checker}."
        ]
    if source == "gold":
        gold, rest = _tasks_learned_from(run, "gold"), _tasks_learned_from(run, "checker")
        of = f" to {' and '.join(gold)}" if rest else ""
        but = f"; {' and '.join(rest)} was learned from demonstrations without any" if rest else ""
        added = f"; GRPO added {checker}" if grpo else ""
        return [f"SFT was trained on certified gold answers{of}{but}{added}."]
    if source == "unknown":
        return ["Whether SFT's rows hold gold answers cannot be told from this folder."]
    return []


def _checkers(run: RunFiles, stage: Row) -> list[str]:
    """Names of the rewards of a stage; by default those of its dataset's tasks."""
    tasks = run.dataset_manifest(str(stage.get("dataset"))).get("tasks")
    return [str(name) for name in stage.get("reward_funcs") or tasks or ["each task's own"]]


def _of_tasks(result: Block) -> list[str]:
    """The gain and the bar of guessing of each task, where there are several."""
    sentences = []
    for task, block in (result.get("tasks") or {}).items():
        gain = block.get("gain") or {}
        if "greedy" in gain:
            after = block["checkpoints"][gain["after"]]["greedy"]
            sentences.append(
                f"Task {task}: {gain['verdict']}; greedy reaches {percent(after['rate'])}, a "
                f"difference of {points(gain['greedy'])}."
            )
        sentences += [f"Task {task}: {sentence}" for sentence in _against_chance(block)]
    return sentences


def _against_chance(result: Block) -> list[str]:
    known = {key: rate for key, rate in result["chance"].items() if rate is not None}
    if not known:
        return ["What guessing would score is missing from the dataset's manifest."]
    if not result["checkpoints"]:
        return []
    best = max(known, key=lambda key: known[key])
    name, measured = list(result["checkpoints"].items())[-1]
    worst = min(
        (measured[m] for m in ("greedy", "pass@1") if m in measured),
        key=lambda estimate: estimate["low"],
        default=None,
    )
    if worst is None:
        return []
    strategy = f"{guess(best).removeprefix('guess: ')} ({percent(known[best])})"
    if worst["low"] > known[best]:
        return [
            f"The {called(name)} checkpoint is above every guessing strategy, greedy and sampled: "
            f"the best of them is {strategy}, the low end of its intervals "
            f"is {percent(worst['low'])}."
        ]
    return [
        f"The {called(name)} checkpoint is NOT clearly above guessing: the best strategy is "
        f"{strategy}, the low end of its intervals is {percent(worst['low'])}."
    ]


def _held_out(result: Block) -> list[str]:
    sentences = []
    for split, block in (result.get("unseen") or {}).items():
        gain = block.get("gain")
        if gain and "greedy" in gain:
            after = block["checkpoints"][gain["after"]]["greedy"]
            sentences.append(
                f"On sizes that no training problem had ({', '.join(block['held_out_sizes'])}; "
                f"split {split}) greedy reaches {percent(after['rate'])}, a difference of "
                f"{points(gain['greedy'])}."
            )
    return sentences


def _each_size(result: Block) -> list[str]:
    names = list(result["sizes"])
    last = result["sizes"][names[-1]] if names else {}
    rates = {label: m["greedy"]["rate"] for label, m in last.items() if "greedy" in m}
    if len(rates) < 2:
        return []
    worst, best = min(rates, key=lambda x: rates[x]), max(rates, key=lambda x: rates[x])
    return [
        f"Over {len(rates)} sizes, greedy goes from {percent(rates[worst])} ({worst}) to "
        f"{percent(rates[best])} ({best})."
    ]


def _left_out(result: Block) -> list[str]:
    sentences = []
    for name, measured in result["checkpoints"].items():
        unscored = {m: e["unscored"] for m, e in measured.items() if "unscored" in e}
        for metric, count in unscored.items():
            sentences.append(f"{count:,} problems could not be scored for {name}, {metric}.")
    unpaired = (result.get("gain") or {}).get("unpaired")
    if unpaired:
        sentences.append(f"{unpaired:,} problems were evaluated for only one of the two.")
    return sentences
