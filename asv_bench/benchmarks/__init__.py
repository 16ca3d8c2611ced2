"""Benchmarks; they share problems and peers with the studies."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "studies"))
