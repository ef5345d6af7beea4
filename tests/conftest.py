"""What every test can use."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent

# tests/reference holds slow, obvious models that tests import by name.
sys.path.insert(0, str(TESTS.parent))

settings.register_profile(
    "default",
    deadline=None,  # a time limit in a test would fail on a busy machine
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,  # the same examples on every run; `--hypothesis-profile=search` looks further
)
settings.register_profile(
    "search", parent=settings.get_profile("default"), derandomize=False, max_examples=2000
)
settings.load_profile("default")
