"""Every link, picture and anchor within the built site is there: python doc/check_links.py doc/_build/html."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Targets that a page points to, and anchors that it has."""

    def __init__(self, path):
        super().__init__()
        self.targets, self.anchors = [], set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs[key] for key in ("id", "name") if attrs.get(key)}
        self.targets += [attrs[key] for key in ("href", "src") if attrs.get(key)]


def broken(root):
    """Yield (page, target) of what leads nowhere; the web beyond the site is not asked."""
    root = root.resolve()
    pages = {path: Page(path) for path in root.rglob("*.html") if "_static" not in path.parts}
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            missing = not file.is_file() or root not in file.parents
            if missing or (parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].anchors):
                yield path.relative_to(root), target


if __name__ == "__main__":
    found = sorted(set(broken(Path(sys.argv[1]))))
    for page, target in found:
        print(f"{page}: {target}")
    sys.exit(f"{len(found)} broken links" if found else 0)
