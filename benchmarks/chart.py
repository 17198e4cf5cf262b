"""Bar charts as SVG: one bar a contender, with the range of its runs; read in light and in dark pages alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 760
LEFT = 290
RIGHT = 110
TOP = 64
PITCH = 30
BAR = 18
BOTTOM = 34
TICKS = 5
OURS, OTHERS, INK, FAINT = "#1f6feb", "#9aa4b1", "#24292f", "#d0d7de"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A value, and where there is a spread, the least and the most that was measured."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    ours: bool = False

    @property
    def end(self) -> float:
        return self.value if self.high is None else self.high


def bars(title: str, subtitle: str, items: Sequence[Bar], unit: str) -> str:
    """Return a chart of bars from zero, the smallest first."""
    items = sorted(items, key=lambda item: item.value)
    height = TOP + PITCH * len(items) + BOTTOM
    scale = _Scale(most=max((item.end for item in items), default=1.0))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' font-family="Helvetica, Arial, sans-serif" font-size="13" role="img" aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="15" font-weight="bold" fill="{INK}">{escape(title)}</text>',
        f'<text x="16" y="45" fill="{INK}">{escape(subtitle)}</text>',
        *_axis(scale, height - BOTTOM, unit),
        *(part for row, item in enumerate(items) for part in _bar(item, scale, TOP + PITCH * row, unit)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    most: float

    @property
    def step(self) -> float:
        """Return the distance of two ticks: 1, 2 or 5 times a power of ten, about TICKS of them."""
        exact = (self.most or 1.0) / TICKS
        power = 10.0 ** _digits(exact)
        return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= exact)

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / (self.most or 1.0)


def _digits(number: float) -> int:
    """Return the power of ten that a positive number reaches."""
    return int(f"{number:e}".partition("e")[2])


def _axis(scale: _Scale, bottom: float, unit: str) -> Iterator[str]:
    value = 0.0
    while value <= scale.most * 1.0001:
        x = scale.x(value)
        yield f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}" stroke="{FAINT}"/>'
        label = f"{value:g}" + (f" {unit}" if value == 0 else "")
        yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle" font-size="11" fill="{INK}">{label}</text>'
        value = round(value + scale.step, 9)


def _bar(item: Bar, scale: _Scale, top: float, unit: str) -> Iterator[str]:
    middle = top + BAR / 2
    weight = ' font-weight="bold"' if item.ours else ""
    style = f'y="{middle + 4.5}" fill="{INK}"{weight}'
    yield f'<text x="{LEFT - 10}" text-anchor="end" {style}>{escape(item.label)}</text>'
    length = scale.x(item.value) - LEFT
    yield f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{OURS if item.ours else OTHERS}"/>'
    if item.low is not None:
        low, high = scale.x(item.low), scale.x(item.end)
        ends = "".join(f"M{x:.1f} {middle - 5}v10" for x in (low, high))
        yield f'<path d="M{low:.1f} {middle}H{high:.1f}{ends}" stroke="{INK}"/>'
    yield f'<text x="{scale.x(item.end) + 8:.1f}" {style}>{_shown(item.value)} {unit}</text>'


def _shown(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
