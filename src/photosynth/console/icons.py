"""The console's own line icons, as inline SVG paths on a grid of 24."""

_PATHS = {
    "overview": "M4 19V5M4 19h16M8 15l3-4 3 2 5-7",
    "miners": "M7 7h10v10H7zM10 3v4M14 3v4M10 17v4M14 17v4M3 10h4M3 14h4M17 10h4M17 14h4",
    "nodes": "M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12l8-4.5M12 12v9M12 12L4 7.5",
    "incidents": "M6 16v-5a6 6 0 0 1 12 0v5l2 2H4zM10 20a2 2 0 0 0 4 0",
    "ledger": "M5 4h11l3 3v13H5zM9 9h6M9 13h6M9 17h4",
    "activity": "M3 12h4l3-8 4 16 3-8h4",
    "stop": "M8 3h8l5 5v8l-5 5H8l-5-5V8z",
    "play": "M7 5l11 7-11 7z",
    "theme": "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
    "copy": "M9 9h10v11H9zM5 15V4h10",
}
LEAF = (
    '<svg viewBox="0 0 32 32" aria-hidden="true" class="leaf"><rect width="32" height="32" rx="9" fill="#009E73"/>'
    '<path d="M8 22C7 12 14 7 25 7c0 11-5 18-15 17" fill="#fff" opacity=".96"/>'
    '<path d="M7 26c2-6 6-10 12-13" fill="none" stroke="#007355" stroke-width="2" stroke-linecap="round"/></svg>'
)
FAVICON = LEAF.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ').replace(' aria-hidden="true" class="leaf"', "")


def icon(name: str) -> str:
    """An icon for beside a word; screen readers skip it."""
    return f'<svg viewBox="0 0 24 24" class="icon" aria-hidden="true"><path d="{_PATHS[name]}"/></svg>'
