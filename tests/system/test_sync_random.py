"""L13: whatever happens, the passive node has one whole generation at any moment, and in the end what the active one has."""
import os

import pytest

from lab.story import Story
from lab.sync import SyncLab


@pytest.fixture
def lab(request):
    with SyncLab() as made:
        request.node.lab = made
        yield made


@pytest.mark.parametrize("seed", os.environ.get("SYNC_SEEDS", "1").split())
def test_L13_a_minute_of_everything(lab, monkeypatch, seed):
    monkeypatch.setenv("DUET_DEBUG", "1")
    lab.write_config(extra=lab.sync_set())
    print(Story(lab, seed).run(int(os.environ.get("SYNC_SECONDS", "60"))))
