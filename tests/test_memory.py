"""Nothing is unpacked beyond what it may take."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazylabels_monai import memory
from lazylabels_monai.memory import TooLargeError, allowed, fits, gunzip, memory_at_hand, unpacked


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=3), st.integers(0, 5))
def test_what_is_unpacked_is_what_gzip_unpacks(parts, zeros):
    data = b"".join(map(gzip.compress, parts)) + bytes(zeros)
    assert unpacked(data, 10**6) == gzip.decompress(data) == unpacked(io.BytesIO(data), 10**6)


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=1, max_size=3000), st.integers(0, 10**6))
def test_what_is_cut_short_or_too_large_is_refused(content, at):
    data = gzip.compress(content)
    with pytest.raises((EOFError, zlib.error)):
        unpacked(data[: 1 + at % (len(data) - 1)], 10**6)
    with pytest.raises(TooLargeError):
        unpacked(data, len(content) - 1)
    assert unpacked(data, len(content)) == content


def test_a_bomb_is_not_unpacked_to_its_end(monkeypatch):
    """Of 2 GiB a quarter is made before it is refused: a text of so little cannot hold more."""
    made = []
    real = zlib.decompressobj

    class Counting:
        def __init__(self, *arguments):
            self.inner = real(*arguments)

        def decompress(self, *arguments):
            part = self.inner.decompress(*arguments)
            made.append(len(part))
            return part

        def __getattr__(self, name):
            return getattr(self.inner, name)

    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    data = b"".join([packer.compress(bytes(2**26)) for _ in range(32)]) + packer.flush()
    monkeypatch.setattr(memory.zlib, "decompressobj", Counting)
    with pytest.raises(TooLargeError):
        gunzip(data)
    assert sum(made) <= 2**29


def test_what_may_be_unpacked_goes_by_the_memory(monkeypatch):
    assert memory_at_hand() is None or memory_at_hand() > 0
    assert allowed(10) == 2**26  # what is small may pack as it likes
    monkeypatch.setattr(memory, "memory_at_hand", lambda: 2**30)
    assert allowed(2**30) == int(2**30 * 0.1)
    assert fits(2**30)
    assert not fits(2**30 + 1)
    monkeypatch.setattr(memory, "memory_at_hand", lambda: None)
    assert allowed(2**30) == 2**30
    assert fits(2**60)


@pytest.mark.parametrize(("kept", "room"), [(None, 100), (0, 100), (700, 800)])
def test_files_that_a_container_keeps_in_memory_are_no_memory_in_use(kept, room, tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    if kept is not None:
        (tmp_path / "memory.stat").write_text(f"anon 150\nfile {kept + 20}\nshmem 20\ninactive_file {kept}\nactive_file 0\n")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert memory.memory_at_hand() == room
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.memory_at_hand() != room
