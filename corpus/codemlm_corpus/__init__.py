"""Builds the training corpus from git repositories, on datatrove's pipelines and executors."""

from __future__ import annotations
