"""The grammar of programs: over many keys, all compile, end, and depend on what they read."""

import ast
import re

import pytest

from datagen.abd_config import LevelConfig
from datagen.abd_runs import Job, run_jobs
from datagen.keys import item_keys
from datagen.programs.expressions import Expr, condition, grown
from datagen.programs.inputs import (
    Block,
    Int,
    Many,
    Row,
    Sized,
    Word,
    draw_input,
    one_line_of_integers,
)
from datagen.programs.knobs import DEFAULTS, MICRO_LIMIT, Knobs
from datagen.programs.make import make_program, written
from datagen.programs.steps import STEPS
from datagen.stream import Stream
from reward_fns.sandbox import Limits

LEVELS = ["micro", "easy", "medium", "hard"]
KEYS = item_keys("abd", "programs", 0, range(250))


def drafts(level, knobs=None, keys=KEYS):
    return [make_program(level, knobs or DEFAULTS[level], key) for key in keys]


def inputs_of(draft, key, count=5):
    stream = Stream(key + b"inputs")
    return tuple(draw_input(draft.shape, stream) for _ in range(count))


@pytest.mark.parametrize("level", LEVELS)
def test_programs_compile_end_and_depend_on_their_input(level):
    made = drafts(level)
    jobs = [Job(draft.text, inputs_of(draft, key)) for draft, key in zip(made, KEYS, strict=True)]
    outputs = run_jobs(jobs, Limits(wall_s=20.0, cpu_s=10), 10_000)
    constant = 0
    for draft, own in zip(made, outputs, strict=True):
        assert None not in own[:5], draft.text
        constant += len(set(own[:5])) == 1
    assert constant <= 0.05 * len(made)
    assert len({draft.text for draft in made}) > 0.8 * len(made)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "knobs",
    [
        {"lines": 2, "depth": 1, "inputs": 1},
        {"lines": 120, "depth": 6, "inputs": 3},
        {"min_value": -99, "max_value": 99},
        {"min_value": -99, "max_value": -98},
    ],
)
def test_programs_hold_at_the_bounds_of_their_knobs(level, knobs):
    made = drafts(level, LevelConfig(level=level, **knobs).knobs, KEYS[:60])
    jobs = [Job(d.text, inputs_of(d, key, 3)) for d, key in zip(made, KEYS, strict=False)]
    for draft, outputs in zip(made, run_jobs(jobs, Limits(wall_s=20.0), 10_000), strict=True):
        assert None not in outputs[:3], draft.text


@pytest.mark.parametrize("level", LEVELS)
def test_a_program_depends_on_its_key_alone(level):
    assert drafts(level)[::-1] == drafts(level, keys=KEYS[::-1])


@pytest.mark.parametrize("level", ["easy", "medium", "hard"])
@pytest.mark.parametrize("lines", [8, 20, 40])
def test_lines_are_about_as_many_as_asked_for(level, lines):
    knobs = LevelConfig(level=level, lines=lines, inputs=2).knobs
    counts = [draft.text.count("\n") + 1 for draft in drafts(level, knobs, KEYS[:80])]
    assert 0.7 * lines < sum(counts) / len(counts) < 1.6 * lines + 8


def depth_of(text):
    """Blocks inside each other."""

    def deepest(node):
        blocks = ast.For | ast.While | ast.If
        inner = max(map(deepest, ast.iter_child_nodes(node)), default=0)
        return inner + isinstance(node, blocks)

    return deepest(ast.parse(text))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_blocks_are_no_deeper_than_asked_for(depth):
    knobs = LevelConfig(level="hard", depth=depth, lines=30).knobs
    depths = [depth_of(draft.text) for draft in drafts("hard", knobs, KEYS[:120])]
    # An elif nests once in the syntax tree, and not on the page.
    assert max(depths) <= depth + 1
    assert max(depths) >= depth


@pytest.mark.parametrize("inputs", [1, 2, 4])
def test_inputs_are_at_most_as_many_as_asked_for(inputs):
    knobs = LevelConfig(level="medium", inputs=inputs).knobs
    counts = {len(draft.shape) for draft in drafts("medium", knobs, KEYS[:60])}
    assert max(counts) == inputs
    micro = LevelConfig(level="micro", inputs=min(inputs, 3)).knobs
    parts = {len(draft.shape[0].parts) for draft in drafts("micro", micro, KEYS[:60])}
    assert max(parts) == min(inputs, 3)


def test_numbers_in_inputs_stay_in_their_range():
    knobs = LevelConfig(level="medium", min_value=40, max_value=50).knobs
    for draft, key in zip(drafts("medium", knobs), KEYS, strict=True):
        for field in draft.shape:
            if isinstance(field, Many) and isinstance(field.part, Int):
                values = [int(word) for word in "".join(field.draw(Stream(key))).split()]
                assert all(40 <= value <= 50 for value in values)


def test_micro_programs_compute_with_small_numbers_on_one_line():
    for low, high in ((0, 20), (-99, 99), (0, 9)):
        knobs = Knobs(lines=5, depth=3, inputs=2, min_value=low, max_value=high)
        made = drafts("micro", knobs)
        jobs = [Job(d.text, inputs_of(d, key)) for d, key in zip(made, KEYS, strict=True)]
        for draft, outputs in zip(made, run_jobs(jobs, Limits(), 1000), strict=True):
            assert one_line_of_integers(draft.shape)
            assert draft.text.count("\n") < 5
            for output in outputs[:5]:
                assert all(abs(int(word)) <= MICRO_LIMIT for word in output.split()), draft.text


def test_every_step_is_written_by_some_program():
    keys = item_keys("abd", "steps", 0, range(600))
    seen = set()
    for level in ("easy", "medium", "hard"):
        for key in keys:
            seen |= written(level, DEFAULTS[level], key).steps
    assert seen == {step.write.__name__ for step in STEPS}


def test_canonical_programs_do_not_tell_names_apart():
    key = KEYS[0]
    draft = make_program("medium", DEFAULTS["medium"], key)
    names = sorted(draft.names, key=len)
    assert not set(re.findall(r"\b[a-z_]\w*\b", draft.canonical())) & draft.names
    text = draft.text
    for place, name in enumerate(names):
        text = re.sub(rf"\b{name}\b", f"renamed{place}", text)
    renamed = type(draft)(text, draft.shape, frozenset(f"renamed{i}" for i in range(len(names))))
    assert renamed.canonical() == draft.canonical()


@pytest.mark.parametrize(
    ("field", "pattern"),
    [
        (Row((Int(3, 5), Word("ab", 2, 2))), r"[345] [ab]{2}\n"),
        (Many(Int(0, 9), 2, 4), r"\d( \d){1,3}\n"),
        (Block(Row((Int(7, 7),)), 2, 2), r"2\n7\n7\n"),
        (Sized(Int(1, 1), 3, 3, (Int(8, 8),)), r"3 8\n1 1 1\n"),
        (Sized(Int(1, 1), 2, 2, one_line=False), r"2\n1\n1\n"),
    ],
)
def test_inputs_have_the_shape_of_their_fields(field, pattern):
    for key in KEYS[:20]:
        assert re.fullmatch(pattern, draw_input((field,), Stream(key)))


def test_expressions_stay_in_the_range_that_they_state():
    for key in KEYS:
        stream = Stream(key)
        low = stream.between(-20, 20)
        atoms = [Expr("a", low, low + stream.between(1, 30)), Expr("b", -5, 12)]
        expr = grown(stream, atoms[: stream.between(1, 2)], stream.between(1, 4), 500)
        for _ in range(20):
            names = {atom.text: stream.between(atom.low, atom.high) for atom in atoms}
            assert expr.low <= eval(expr.text, {}, names) <= expr.high, expr
        assert isinstance(eval(condition(stream, expr), {}, names), bool)


def test_draws_of_a_stream_are_uniform_and_go_on():
    stream = Stream(KEYS[0])
    counts = [0] * 7
    for _ in range(21_000):
        counts[stream.below(7)] += 1
    assert all(2700 < count < 3300 for count in counts)
    assert {stream.between(-1, 1) for _ in range(60)} == {-1, 0, 1}
    assert sorted(stream.shuffled("abcd")) == list("abcd")
    places = [stream.weighted([1, 0, 3]) for _ in range(4000)]
    assert places.count(1) == 0
    assert 2800 < places.count(2) < 3200
    assert 0 <= stream.below(2**32) < 2**32
