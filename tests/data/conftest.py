from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of all thirteen repositories with invented rows; `datasets` keeps its cache beside them."""
    datasets = pytest.importorskip("datasets")
    from hub_copy import write_hub

    folder = tmp_path_factory.mktemp("hub")
    datasets.config.HF_DATASETS_CACHE = folder / "cache"
    datasets.disable_progress_bars()
    return write_hub(folder / "copies")
