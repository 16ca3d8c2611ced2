"""Benchmarks; they share the reference methods of the studies one folder up."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
