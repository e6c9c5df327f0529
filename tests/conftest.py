"""Settings of every test run; fixtures live beside the tests that use them."""

from __future__ import annotations

import os
import tempfile

from hypothesis import settings

# Two cores are shared by everything that runs here, and nothing in the tests comes from a hub.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

# What earlier runs found would hide what this one breaks.
_caches = tempfile.TemporaryDirectory(prefix="codemlm-tests-")
os.environ["CODEMLM_CACHE_DIR"] = _caches.name

# No deadline: on a loaded machine it measures the machine. CI draws the same examples every time,
# so that a change is blamed for what it broke only; other runs look for new ones.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=10_000, print_blob=True)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "local")
)
