"""Values as a reader sees them: a model's text made safe to show, numbers, sizes and durations."""

import re
import unicodedata

MOST_CHARACTERS = 2000
"""Most characters of a prompt or completion that a report shows; the evaluations hold all."""

CONTROL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that draw nothing, or change how their neighbours are drawn."""


def visible(text: object) -> str:
    """Return text in which every character can be seen: controls as ⟨U+202E⟩, no surrogates.

    Line breaks and tabs stay; what remains is valid in HTML and XML alike.
    """
    return "".join(
        f"⟨U+{ord(c):04X}⟩" if unicodedata.category(c) in CONTROL and c not in "\n\t" else c
        for c in str(text)
    )


def shortened(text: object, most: int = MOST_CHARACTERS) -> str:
    """Return at most `most` characters of a text: its start and end, and how many are left out."""
    whole = str(text)
    if len(whole) <= most:
        return whole
    half = most // 2
    return f"{whole[:half]}\n[… {len(whole) - 2 * half:,} characters …]\n{whole[-half:]}"


def fence(text: object) -> str:
    """Return text as a Markdown code block whose fence is longer than any in the text."""
    inside = visible(shortened(text))
    longest = max((len(run) for run in re.findall(r"`+", inside)), default=0)
    mark = "`" * max(3, longest + 1)
    return f"{mark}text\n{inside}\n{mark}"


def table_cell(text: object) -> str:
    """Return text on one line that neither ends a Markdown table's cell nor starts HTML."""
    line = visible(text).replace("\n", " ").replace("\t", " ")
    return re.sub(r"([\\`*_\[\]<>|&])", r"\\\1", line)


def number(value: float | int | None, digits: int = 3) -> str:
    """Return a number with thousands separators, or "not recorded"."""
    if value is None:
        return "not recorded"
    if isinstance(value, int) or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}" if abs(value) < 1000 else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Return seconds as "110 ms", "4.2 s", "5 min 2 s" or "3 h 12 min", or "not recorded"."""
    if seconds is None:
        return "not recorded"
    if 0 < seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(num_bytes: float | None) -> str:
    """Return a number of bytes as "1.9 GB" (powers of 1000), or "not recorded"."""
    if num_bytes is None:
        return "not recorded"
    value, unit = float(num_bytes), 0
    while value >= 1000 and unit < 4:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} B" if unit == 0 else f"{value:.1f} {('B', 'kB', 'MB', 'GB', 'TB')[unit]}"


def p_value(p: float) -> str:
    """Return a p-value as "p = 0.031" or "p < 0.0001"."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
