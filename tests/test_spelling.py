"""Names in composed and in decomposed letters."""

from __future__ import annotations

import unicodedata

import pytest

from lazylabels_monai.spelling import as_spelled, composed

NFC, NFD = "Pr\u00fcfst\u00fcck", "Pru\u0308fstu\u0308ck"


@pytest.mark.parametrize(("written", "there"), [(NFC, NFD), (NFD, NFC), (NFC, NFC)])
@pytest.mark.parametrize("name", ["{}.png", "images/{}.png", "{}/a.png", "{0}/b/{0}.png"])
def test_a_file_is_found_in_either_form(tmp_path, written, there, name):
    file = tmp_path / name.format(there)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    assert as_spelled(tmp_path, name.format(written)) == file
    assert as_spelled(tmp_path / "elsewhere", str(tmp_path / name.format(written))) == file


def test_the_name_as_it_is_written_goes_first(tmp_path):
    for name in (NFC, NFD):
        (tmp_path / name).touch()
    assert [as_spelled(tmp_path, name).name for name in (NFC, NFD)] == [NFC, NFD]


def test_what_is_not_there_stays_as_it_is_written(tmp_path):
    (tmp_path / NFD).mkdir()
    for name in ("a.png", f"{NFC}.png", f"{NFC}/{NFC}.png", "\u00fc" * 300, "\u00fc\0"):
        assert as_spelled(tmp_path, name) == tmp_path / name


def test_one_form_of_each_name():
    assert composed(NFC) == composed(NFD) == unicodedata.normalize("NFC", NFD)
    assert composed("a") == "a"
