import pytest


def test_without_a_place_for_the_cache_functions_are_compiled_each_time(monkeypatch):
    pytest.importorskip("numba")
    from numba.core import caching

    from deepmat.runtime.compiled import compiled

    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    assert compiled(lambda x: x + 1)(1) == 2
