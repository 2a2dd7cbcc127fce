"""The figures of a report: inline SVG that follows the page's light or dark colours.

Bars and dots are drawn in per cent of their own width, so that text beside them keeps its size on
a phone; curves are drawn in a 360 x 184 box, those of one stage after those of the other. Colours
are CSS classes (s0, s1, … for checkpoints and stages), never written here. Every figure has a text
for those who cannot see it.
"""

import math
from collections.abc import Sequence
from html import escape

from markupsafe import Markup

from orchestrator.curves import Curve, thinned
from orchestrator.statistics import Estimate

WIDTH, HEIGHT = 360, 184
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 8, 36
GAP, LETTER = 14, 6
"""Room between two stages, and for a letter of an axis."""
ROW_HEIGHT = 22
GRID = (0, 25, 50, 75, 100)
NUM_STYLES = 6
"""Colours for checkpoints and stages, s0 to s5 in templates/report.css; more of them repeat."""


def rate_bar(rate: Estimate | float, style: str, words: str, guide: float | None = None) -> Markup:
    """Return a bar from 0 to 100 % with its interval (where it has one) and a dashed guide.

    `style` is the CSS class of the bar, `guide` a rate to compare with, `words` the bar in words.
    """
    value = rate.rate if isinstance(rate, Estimate) else rate
    parts = [_grid(), f'<rect class="{style} fill" y="5" height="12" width="{_per_cent(value)}"/>']
    if isinstance(rate, Estimate):
        parts.append(_whisker(rate, "ink"))
    if guide is not None:
        x = _per_cent(guide)
        parts.append(f'<line class="guide" x1="{x}" x2="{x}" y1="0" y2="{ROW_HEIGHT}"/>')
    return _row(parts, words)


def rate_dots(rates: Sequence[tuple[Estimate, str]], words: str) -> Markup:
    """Return dots with intervals on one scale from 0 to 100 %, one (rate, CSS class) each."""
    parts = [_grid()]
    for rate, style in rates:
        parts.append(_whisker(rate, style))
        x = _per_cent(rate.rate)
        parts.append(f'<circle class="{style} fill" cx="{x}" cy="{ROW_HEIGHT // 2}" r="5"/>')
    return _row(parts, words)


def rate_axis() -> Markup:
    """Return the axis under bars or dots: 0 to 100 %."""
    anchors = {0: "start", 100: "end"}
    labels = "".join(
        f'<text class="tick" x="{x}%" y="12" text-anchor="{anchors.get(x, "middle")}">{x}</text>'
        for x in GRID
    )
    return Markup(f'<svg class="row" width="100%" height="16" aria-hidden="true">{labels}</svg>')


def line_chart(curves: Sequence[tuple[Curve, str]], words: str) -> Markup:
    """Return a chart of curves over steps, one (curve, CSS class) each; 0 is always on the axis.

    Each curve is another stage, which begins where the one before has ended: each has a part of
    the chart, as wide as the others'. A long curve is drawn through the means of its neighbours
    (at most 240 points).
    """
    drawn = [(thinned(curve), style) for curve, style in curves]
    values = [value for curve, _ in drawn for value in curve.values]
    low, high, ticks = _scale(min(values), max(values))

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" '
        f'y2="{y(tick):.1f}"/><text class="tick" x="{LEFT - 5}" y="{y(tick) + 4:.1f}" '
        f'text-anchor="end">{tick_text(tick)}</text>'
        for tick in ticks
    ]
    width = (WIDTH - LEFT - RIGHT - GAP * (len(drawn) - 1)) / len(drawn)
    for number, (curve, style) in enumerate(drawn):
        left, last = LEFT + number * (width + GAP), max(curves[number][0].steps[-1], 1)
        parts.append(_step_axis(curve.stage if len(drawn) > 1 else "", left, width, last))
        points = [
            (left + width * step / last, y(value))
            for step, value in zip(curve.steps, curve.values, strict=True)
        ]
        line = " ".join(f"{x:.1f},{height:.1f}" for x, height in points)
        parts.append(f'<polyline class="{style} line" points="{line}"/>')
        x, height = points[-1]
        parts.append(f'<circle class="{style} fill" cx="{x:.1f}" cy="{height:.1f}" r="2.5"/>')
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(words)}">'
        f"<title>{escape(words)}</title>{''.join(parts)}</svg>"
    )


def standalone(chart: Markup, css: str) -> str:
    """Return a chart as an SVG file of its own, with the page's style sheet inside."""
    head, inside = str(chart).split(">", 1)
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return f"{head}><style>{css} svg {{ background: var(--paper) }}</style>{inside}"


def _step_axis(stage: str, left: float, width: float, last: int) -> str:
    """The axis under one stage's curve, and the line between it and the stage before."""
    label = f"step of {stage}" if stage else "step"
    if len(label) * LETTER > width:
        label = f"{label[: max(1, int(width / LETTER) - 1)]}…"
    texts = [(left, "start", "0"), (left + width, "end", f"{last:,}")]
    if width > 200 and last > 1:
        texts.append((left + width / 2, "middle", f"{last // 2:,}"))
    axis = "".join(
        f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 20}" text-anchor="{anchor}">{text}</text>'
        for x, anchor, text in texts
    )
    axis += (
        f'<text class="tick" x="{left + width / 2:.1f}" y="{HEIGHT - 5}" '
        f'text-anchor="middle">{escape(label)}</text>'
    )
    if left > LEFT:
        x = left - GAP / 2
        axis += f'<line class="guide" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
    return axis


def tick_text(value: float) -> str:
    """Return a number as briefly as an axis needs it: 0, 0.25, 1,200, 1e-06."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _scale(low: float, high: float) -> tuple[float, float, list[float]]:
    """Return the ends of an axis that holds 0 and all values, and three to six round ticks."""
    low, high = min(low, 0.0), max(high, 0.0)
    if high == low:
        high = low + 1.0
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return first * step, last * step, [i * step for i in range(first, last + 1)]


def _per_cent(rate: float) -> str:
    return f"{100 * rate:.2f}%"


def _grid() -> str:
    return "".join(
        f'<line class="grid" x1="{x}%" x2="{x}%" y1="0" y2="{ROW_HEIGHT}"/>' for x in GRID
    )


def _whisker(rate: Estimate, style: str) -> str:
    middle = ROW_HEIGHT // 2
    low, high = _per_cent(rate.low), _per_cent(rate.high)
    ends = "".join(
        f'<line class="{style} line" x1="{x}" x2="{x}" y1="{middle - 4}" y2="{middle + 4}"/>'
        for x in (low, high)
    )
    line = f'<line class="{style} line" x1="{low}" x2="{high}" y1="{middle}" y2="{middle}"/>'
    return line + ends


def _row(parts: Sequence[str], words: str) -> Markup:
    return Markup(
        f'<svg class="row" width="100%" height="{ROW_HEIGHT}" role="img" '
        f'aria-label="{escape(words)}"><title>{escape(words)}</title>{"".join(parts)}</svg>'
    )
