from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmr.errors import UsageError
from asyncmr.storage.compression import Compression, codec_of

PACKAGES: dict[Compression, str] = {"lz4": "lz4", "zstd": "zstandard"}


@pytest.mark.parametrize("name", PACKAGES)
@given(st.binary(max_size=300), st.integers(1, 50))
def test_what_was_compressed_comes_back(name: Compression, data: bytes, times: int) -> None:
    pytest.importorskip(PACKAGES[name])
    codec = codec_of(name)
    assert codec is not None
    smaller = codec.compress(memoryview(data * times))
    assert codec.decompress(memoryview(smaller), len(data) * times) == data * times


@pytest.mark.parametrize("name", PACKAGES)
def test_several_threads_compress_at_once(name: Compression) -> None:
    pytest.importorskip(PACKAGES[name])
    codec = codec_of(name)
    assert codec is not None
    texts = [b"%d " % number * 50_000 for number in range(64)]
    with ThreadPoolExecutor(4) as threads:
        smaller = list(threads.map(codec.compress, map(memoryview, texts)))
        assert all(len(some) < len(text) // 10 for some, text in zip(smaller, texts, strict=True))
        assert list(threads.map(codec.decompress, smaller, map(len, texts))) == texts


def test_none_is_no_codec() -> None:
    assert codec_of("none") is None


@pytest.mark.parametrize("name", PACKAGES)
def test_a_codec_that_is_not_installed_is_named_with_its_extra(
    name: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (PACKAGES[name], "lz4.block"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"pip install 'asyncmr\[{name}\]'"):
        codec_of(name)


def test_an_unknown_codec_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match='"none", "lz4" and "zstd"'):
        codec_of("gzip")  # type: ignore[arg-type]
