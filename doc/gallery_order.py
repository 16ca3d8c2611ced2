"""The order of the gallery: the ten tutorials first, as doc/tutorials/index.rst has them, then the rest by name."""

import re
from pathlib import Path

_INDEX = Path(__file__).parent / "tutorials" / "index.rst"
TUTORIALS = re.findall(r"^   \.\./gallery/(\w+)$", _INDEX.read_text(), re.M)


def place(path):
    """Sort key of an example."""
    name = Path(path).stem
    return (TUTORIALS.index(name) if name in TUTORIALS else len(TUTORIALS), name)
