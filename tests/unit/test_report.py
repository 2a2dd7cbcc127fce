"""The report tells what the run's files say, holds no address, and shows hostile text as text."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from synthetic_run import CONFIG, HELD_OUT, write_run

from orchestrator.claims import points
from orchestrator.closing import print_ending
from orchestrator.report import report_context, write_report
from orchestrator.result import build_result
from orchestrator.shown_text import duration, fence, p_value, shortened, size, table_cell, visible
from orchestrator.table import gain_line

HOSTILE = (
    '</pre><script>alert("x")</script><img src=x onerror=alert(1)>'
    "{{ 7*7 }}{% raw %} & <!-- ]]> https://evil.example/ \x00\x1b[31m\ud800\u202e```\n# a | b\x85"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("runs") / "quickstart", num_problems=300)
    write_report(folder)
    return folder


def page_of(folder):
    return (folder / "delta_report.html").read_text(encoding="utf-8")


def parsed(page):
    assert page.startswith("<!DOCTYPE html>")
    return ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))


def text_of(page):
    return " ".join("".join(parsed(page).find("body").itertext()).split())


def rewritten(folder, change):
    manifest = json.loads((folder / "run_manifest.json").read_text())
    change(manifest["config"])
    (folder / "run_manifest.json").write_text(json.dumps(manifest))
    return folder


def test_page_is_well_formed_and_alone(run):
    page = page_of(run)
    tags = {element.tag for element in parsed(page).iter()}
    assert not tags & {"script", "link", "img", "iframe", "object", "base", "form", "a"}
    assert not re.search(r"https?://|//[a-z]+\.|url\(|@import|javascript:", page)
    attributes = {name for element in parsed(page).iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on")}
    assert attributes.isdisjoint({"src", "href", "srcset", "action", "style"})
    assert "default-src 'none'" in page


def test_page_follows_light_and_dark_and_small_screens(run):
    page = page_of(run)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in page
    styles = set(re.findall(r'class="(s\d) ', page))
    assert styles and all(f".{style} {{ --c:" in page for style in styles)


def test_head_names_what_was_run(run):
    head = text_of(page_of(run)).split("What this shows")[0]
    for part in ("quickstart", "c0ffee000000", "bbbbbbbbbbbb", "seed 0", "ce4365c00000"):
        assert part in head


def test_verdict_and_rates_are_those_of_the_result(run):
    result = build_result(run)
    text = text_of(page_of(run)).replace("\u00a0", " ")
    markdown = (run / "delta_report.md").read_text(encoding="utf-8").replace("\u00a0", " ")
    greedy, gain = result["checkpoints"]["grpo"]["greedy"], result["gain"]["greedy"]
    for told in (text, markdown):
        assert "Improved" in told
        assert f"solves {100 * greedy['rate']:.1f} % of 300 held-out problems" in told
        assert f"{100 * gain['difference']:+.1f} points" in told
        assert f"{100 * gain['low']:+.1f} to {100 * gain['high']:+.1f}" in told
        assert "learned from the checker alone" in told
        assert "not a comparison with supervised learning on gold answers" in told
        assert "guess: majority" in told and "47.1" in told
    assert f"| grpo | {100 * greedy['rate']:.1f} (" in markdown


def test_every_promised_part_is_there(run):
    text = text_of(page_of(run))
    for part in (
        "Training loss",
        "Mean reward",
        "Entropy",
        "Groups without variance",
        "Clipped tokens",
        "Sampler against trainer",
        "Unreadable answers",
        "Truncated completions",
        "McNemar",
        "Answers before and after",
        "Health of grpo",
        "1.9 GB",
        "5 min 2 s",
        "packages.torch",
        "stages.1.learning_rate",
    ):
        assert part in text, part
    sizes = text.split("By size")[1]
    assert sizes.index("n6 m16") < sizes.index("Held out of training") < sizes.index(HELD_OUT)


def test_stages_are_drawn_one_after_another_over_their_steps(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=12)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row["validation/solved"] = row["step"] / 1200
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    panels = report_context(folder)["panels"]
    charts = {p.metric: ElementTree.fromstring(p.chart) for p in panels["learning"]}
    lines = [element.get("points") for element in charts["validation/solved"].iter("polyline")]
    sft, grpo = ([float(point.split(",")[0]) for point in line.split()] for line in lines)
    assert max(sft) < min(grpo)
    assert [text.text for text in charts["validation/solved"].iter("text")][-6:] == [
        "0", "320", "step of sft", "0", "1,200", "step of grpo",
    ]  # fmt: skip
    assert [text.text for text in charts["loss/train"].iter("text")][-4:] == [
        "0", "320", "160", "step",
    ]  # fmt: skip


def test_bars_show_the_guesses_that_the_table_shows(run):
    bars = {p["metric"]: [b.label for b in p["bars"]] for p in report_context(run)["rate_panels"]}
    guesses = ["guess: all True", "guess: random", "guess: majority"]
    assert bars["greedy"][3:] == bars["pass@1"][3:] == guesses
    assert bars["pass@8"][3:] == ["guess: all True", "guess: majority"]


def test_a_wide_table_names_its_columns_in_each_cell_for_small_screens(run):
    tables = [t for t in parsed(page_of(run)).iter("table") if t.get("class") == "stacked"]
    assert [len(t.findall("tr")) for t in tables] == [4, 3]
    for table in tables:
        head, *rows = (list(row) for row in table.iter("tr"))
        for row in rows:
            assert [c.get("data-label") for c in row[1:]] == [c.text for c in head[1:]]
    assert "percentage points" in text_of(page_of(run))
    assert ".stacked td[data-label]::before { content: attr(data-label)" in page_of(run)


def test_changes_both_ways_are_counted_and_listed(run):
    context = report_context(run)
    gain = build_result(run)["gain"]
    counts = [change["count"] for change in context["changes"]]
    assert counts == [gain["wrong_to_right"], gain["right_to_wrong"]]
    for example in context["examples"]:
        before, after = example["before"].greedy.solved, example["after"].greedy.solved
        assert {"gained": (False, True), "lost": (True, False)}.get(
            example["move"], (before, after)
        ) == (before, after)
        assert example["before"].id == example["after"].id
        assert example["after"].prompt in page_of(run)


def test_report_is_the_same_each_time(run):
    first = page_of(run), (run / "delta_report.md").read_bytes()
    write_report(run)
    assert (page_of(run), (run / "delta_report.md").read_bytes()) == first
    assert not list(run.glob(".*.tmp"))


def test_hostile_completions_are_shown_not_run(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=12, hostile=HOSTILE)
    write_report(folder)
    page = page_of(folder)
    assert "<script" not in page and "<img" not in page
    assert 'alert("x")' in "".join(parsed(page).itertext())
    assert "{{ 7*7 }}{% raw %}" in page
    for broken in ("\x00", "\x1b", "\ud800", "\u202e", "\x85"):
        assert broken not in page
    assert "⟨U+202E⟩" in page and "⟨U+0000⟩" in page
    markdown = (folder / "delta_report.md").read_text(encoding="utf-8")
    assert "````text\n</pre><script>" in markdown


def test_hostile_names_are_escaped(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=12)
    rewritten(folder, lambda config: config.update(name="<script>x</script>|`*"))
    path = folder / "metrics.jsonl"
    row = {"stage": "<b>", "step": 1, '"><script>y</script>': 1.0}
    path.write_text(path.read_text() + json.dumps(row) + "\n")
    write_report(folder)
    assert "<script" not in page_of(folder) and "&lt;script&gt;" in page_of(folder)
    assert "<script>y</script>" in text_of(page_of(folder))
    assert not re.search(r"(?<!\\)<script", (folder / "delta_report.md").read_text())


def test_a_bare_run_says_what_is_missing(tmp_path):
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "config.yaml").write_text("name: bare\nstages:\n  - {type: grpo, dataset: sat}\n")
    page = write_report(folder)
    text = text_of(page.read_text(encoding="utf-8"))
    assert "Not evaluated" in text
    assert "No evaluation was found" in text
    assert "No metrics were recorded" in text
    assert text.count("not recorded") >= 6
    assert "Not recorded: reward" in text
    assert "No evaluation was found" in (folder / "delta_report.md").read_text(encoding="utf-8")


def test_missing_metrics_are_named(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=12)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("policy/entropy", None)
        row["reward/mean"] = None if row["stage"] == "grpo" else row.get("reward/mean")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_report(folder)
    assert "Not recorded: reward, entropy." in text_of(page_of(folder))
    assert "Not recorded: Mean reward, Entropy." in (folder / "delta_report.md").read_text()


def test_one_checkpoint_makes_no_claim(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=12, checkpoints=("base",))
    write_report(folder)
    text = text_of(page_of(folder))
    assert "No comparison" in text and "Improved" not in text


def test_equal_checkpoints_are_tied(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=40)
    source = (folder / "evaluations" / "sft.jsonl").read_text()
    (folder / "evaluations" / "grpo.jsonl").write_text(source)
    write_report(folder)
    text = text_of(page_of(folder))
    assert "Tied" in text and "The difference is not clear: +0.0 points" in text
    assert "NOT clearly above guessing" in text
    assert "not a wider reach" in text


def test_worse_is_called_worse(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=100)
    evaluations = folder / "evaluations"
    (evaluations / "grpo.jsonl").rename(evaluations / "kept.jsonl")
    (evaluations / "sft.jsonl").rename(evaluations / "grpo.jsonl")
    (evaluations / "kept.jsonl").rename(evaluations / "sft.jsonl")
    assert report_context(folder)["word"] == "Worse"


def changed(folder, checkpoint, source, change):
    """Write a checkpoint's answers as those of `source`, each row changed."""
    lines = (folder / "evaluations" / f"{source}.jsonl").read_text().splitlines()
    rows = [change(json.loads(line)) for line in lines]
    path = folder / "evaluations" / f"{checkpoint}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def all_alike(row):
    """A problem whose samples are all as the first: no fewer are solved, but fewer are tried."""
    return row | {"samples": row["samples"][:1] * len(row["samples"])}


def test_samples_that_got_worse_are_not_called_tied(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=200)
    changed(folder, "grpo", "sft", all_alike)
    result, context = build_result(folder), report_context(folder)
    gain = result["gain"]
    assert gain["greedy"]["difference"] == 0 and gain["pass@8"]["high"] < 0
    assert (gain["verdict"], result["verdict"], context["word"]) == ("worse", "worse", "Worse")
    assert "The difference is not clear" in context["sentence"]
    assert "Clearly worse: pass@8, " + points(gain["pass@8"]) in context["sentence"]
    assert 'class="verdict worse"' in page_of(write_report(folder).parent)
    assert gain_line(result).startswith("grpo against sft: worse; greedy +0.0 points")


def test_a_task_or_a_split_that_got_worse_is_named_in_the_headline(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=200)
    for name in ("base", "sft", "grpo"):
        changed(
            folder,
            name,
            name,
            lambda row: row | {"task": "sat" if int(row["id"][-1]) % 2 else "abd"},
        )
    before = {}
    changed(folder, "sft", "sft", lambda row: before.setdefault((row["split"], row["id"]), row))

    def worse(row):
        old = before[row["split"], row["id"]]
        failed = {"score": 0.0, "reason": "unsatisfied_clause"}
        fails = row["task"] == "abd"
        return old | {"greedy": old["greedy"] | failed} if fails else row

    changed(folder, "grpo", "grpo", worse)
    result, context = build_result(folder), report_context(folder)
    assert result["gain"]["verdict"] == "improved"
    assert result["tasks"]["abd"]["gain"]["verdict"] == "worse"
    assert result["verdict"] == "mixed" and context["word"].startswith("Mixed")
    assert "Clearly worse: task abd greedy, " in context["sentence"]
    assert "task abd greedy -" in gain_line(result) and "(worse)" in gain_line(result)
    assert gain_line(result).startswith("grpo against sft: mixed; greedy +")


def test_gold_answers_and_shared_problems_are_told(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=12)

    def change(config):
        config["datasets"]["gold"] = {"type": "sat", "splits": {"train": {"num_problems": 10}}}
        config["stages"][0] |= {"dataset": "gold", "split": "train"}

    context = report_context(rewritten(folder, change))
    assert any("SFT was trained on certified gold answers" in line for line in context["shows"])
    assert not any("checker alone" in line for line in context["shows"])
    assert any("is not certain" in line for line in context["shows_not"])
    assert "held-out" not in context["sentence"]


def test_an_unknown_source_is_not_called_the_checker(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=12)

    def change(config):
        config["stages"][0] |= {"dataset": "elsewhere", "split": "train"}

    context = report_context(rewritten(folder, change))
    assert any("cannot be told" in line for line in context["shows"])


def test_several_tasks_have_a_table_each(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=20)
    for path in (folder / "evaluations").glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for index, row in enumerate(rows):
            row["task"] = ("sat", "abd")[index % 2]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = build_result(folder)
    assert result["tasks"]["abd"]["checkpoints"]["grpo"]["greedy"]["n"] == 10
    write_report(folder)
    assert "Task abd" in text_of(page_of(folder))


def test_a_base_model_of_the_hub_is_named(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=4)
    path = folder / "run_manifest.json"
    manifest = json.loads(path.read_text()) | {"base_checkpoint": None}
    manifest["config"]["model"] = {"type": "hf", "path": "org/model", "revision": "v2"}
    path.write_text(json.dumps(manifest))
    told = dict(report_context(folder)["provenance"])["base_checkpoint"]
    assert told == "org/model at v2, whose hash was not recorded"


def test_config_of_the_fixture_is_the_one_shown(run):
    shown = dict(report_context(run)["config_lines"])
    assert shown["stages.1.max_steps"] == str(CONFIG["stages"][1]["max_steps"])


def test_times_of_a_resumed_stage_add_up(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=4)
    rows = [
        {"stage": "sft", "step": step, "wall_s": wall, "cpu_s": 2 * wall, "step_s": 0.5}
        for step, wall in ((10, 5.0), (20, 10.0), (30, 6.0), (40, 11.0))
    ]
    (folder / "timings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (times,) = report_context(folder)["times"]
    assert (times["steps"], times["wall_s"], times["cpu_s"]) == (40, 21.0, 42.0)
    assert (times["step_s"], times["parts"]) == (0.5, {})


def test_other_baselines_of_the_dataset_are_shown(tmp_path):
    folder = write_run(tmp_path / "run", num_problems=12)
    path = folder / "datasets" / "sat" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["chance"]["test"]["always_unsat"] = 0.999
    manifest["chance_method"]["test"] = "sampled"
    path.write_text(json.dumps(manifest))
    text = text_of(page_of(write_report(folder).parent))
    assert "guess: UNSAT" in text and "99.9" in text
    assert "NOT clearly above guessing: the best strategy is UNSAT" in text
    assert "measured with 64 assignments" in text


def test_shown_text():
    assert visible("a\tb\n\x07\u2028") == "a\tb\n⟨U+0007⟩⟨U+2028⟩"
    assert shortened("a" * 3000).count("a") >= 2000 and "1,000 characters" in shortened("a" * 3000)
    assert fence("x ```` y").startswith("`````text\n")
    assert table_cell("a|b\n<i>") == r"a\|b \<i\>"
    assert [duration(s) for s in (None, 0.11, 4.21, 302, 11_520)] == [
        "not recorded",
        "110 ms",
        "4.2 s",
        "5 min 2 s",
        "3 h 12 min",
    ]
    assert [size(n) for n in (None, 12, 1_900_000_000)] == ["not recorded", "12 B", "1.9 GB"]
    assert [p_value(p) for p in (0.031, 1e-30)] == ["p = 0.031", "p < 0.0001"]


@pytest.mark.parametrize(
    ("prompts", "shown"), [(["+1 " * 50, "+1 ="], "'+1 ='"), (["a\nb"], "'…'")]
)
def test_the_prompt_to_try_is_one_that_fits_on_a_line(run, tmp_path, capsys, prompts, shown):
    rows = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
    (tmp_path / "eval_after.jsonl").write_text(rows)
    print_ending(tmp_path, build_result(run), "grpo", None)
    assert f"--prompt {shown}" in capsys.readouterr().out
