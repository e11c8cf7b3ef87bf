"""Draws bars as SVG, readable on light and on dark pages."""

from pathlib import Path
from xml.sax.saxutils import escape

_WIDTH, _BAR, _GAP, _NAMES, _PANEL = 960, 18, 8, 330, 520
_STYLE = """.page{fill:#fff}text{fill:#1c2330}.other{fill:#9aa5b5}.app{fill:#3566c8}.title{font-weight:600}
@media (prefers-color-scheme:dark){.page{fill:#0d1117}text{fill:#e6e9ef}.other{fill:#657185}.app{fill:#7ea6ff}}"""


def write(path: Path, panels: dict[str, dict[str, tuple[float, str]]], highlighted: str) -> None:
    """Write a file with one panel above the other; each has a value and its label for each name."""
    parts, top = [], 0
    for title, bars in panels.items():
        top += 34
        parts.append(f'<text class="title" x="{_NAMES}" y="{top - 10}">{escape(title)}</text>')
        largest = max(value for value, _ in bars.values())
        for name, (value, label) in bars.items():
            width, kind = _PANEL * value / largest, "app" if name == highlighted else "other"
            parts.append(f'<text x="{_NAMES - 10}" y="{top + 14}" text-anchor="end">{escape(name)}</text>')
            parts.append(f'<rect class="{kind}" x="{_NAMES}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="2"/>')
            parts.append(f'<text x="{_NAMES + width + 6:.1f}" y="{top + 14}">{escape(label)}</text>')
            top += _BAR + _GAP
    lines = "\n".join(parts)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 10}" font-family="system-ui, sans-serif"'
        f' font-size="14" role="img" aria-labelledby="t">\n<title id="t">{escape("; ".join(panels))}</title>\n'
        f'<style>{_STYLE}</style>\n<rect class="page" width="100%" height="100%" rx="8"/>\n{lines}\n</svg>\n'
    )
