"""All images of a data set with their labels drawn, on as few pages as one can still see the marks on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lazylabels_monai.atomic import require_free
from lazylabels_monai.data.datalist import SECTIONS, absolute_path, datalist_file, has_key, load_datalist
from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.files import PathLike, ReadError, read_image_and_dims, read_label
from lazylabels_monai.images.pictures import INTERFACE_COLOUR, class_colour, to_uint8_rgb
from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE, TASKS

__all__ = ["draw_labels", "sheet_paths", "write_contact_sheet"]

#: Images on one page at most.
PER_PAGE = 48
_COLUMNS = 6
#: Sides of a thumbnail's field in pixels: wide enough that an emps particle of 10 pixels keeps a mark of 4.
_FIELD = (320, 320)
_CAPTION, _GAP, _MARGIN = 22, 10, 16
_PAPER, _INK, _PALE = (250, 250, 248), (30, 30, 30), (150, 150, 150)
_FRAMES = {"error": (220, 20, 40), "warning": (190, 40, 200)}
_UNLABELLED = (128, 128, 128)
#: Letter of each label in a caption, in the order in which they are drawn.
_BADGES = {"segmentation": "S", "detection": "D", "separation": "I", "instances": "N"}
_BADGE_COLOURS = {"S": (40, 90, 160), "D": (30, 125, 80), "I": INTERFACE_COLOUR, "N": (125, 90, 60)}


def sheet_paths(path: PathLike, pages: int) -> list[Path]:
    """Files of a contact sheet: ``path`` itself for one page, ``name_1.png``, ``name_2.png``, ... for several."""
    path = Path(path)
    return [path] if pages == 1 else [path.with_name(f"{path.stem}_{page}{path.suffix}") for page in range(1, pages + 1)]


def write_contact_sheet(
    data: PathLike,
    path: PathLike,
    levels: Mapping[tuple[str, int], str] | None = None,
    overwrite: bool = False,
    per_page: int = PER_PAGE,
) -> list[Path]:
    """Draw all images of a data set with their labels into PNG files.

    Args:
        data: datalist file or its folder.
        path: PNG file to write; several pages get ``_1``, ``_2``, ... before the suffix.
        levels: ``"error"`` or ``"warning"`` for images to frame, by split and position.
        overwrite: replace files that are there already.
        per_page: images on a page at most.

    Returns:
        the files written.

    Raises:
        DatalistError: when the datalist cannot be used.
        FileExistsError: when a file is there already and ``overwrite`` is not set; nothing is written then.
        ValueError: when ``path`` does not end in .png, or ``per_page`` is below 1.
    """
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"contact sheet '{path}' must be a PNG file: let its name end in .png.")
    if per_page < 1:
        raise ValueError(f"per_page {per_page} must be 1 or more.")
    content, file = load_datalist(data), datalist_file(data)
    items = [(section, i, item) for section in SECTIONS for i, item in enumerate(content.get(section, []))]
    pages = [items[start : start + per_page] for start in range(0, len(items), per_page)] or [[]]
    paths = sheet_paths(path, len(pages))
    for target in paths:
        require_free(target, overwrite)
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for number, (target, page) in enumerate(zip(paths, pages, strict=True), 1):
        title = f"{file.parent.name or file}: {len(items)} image{'s' * (len(items) != 1)}" + (
            f", page {number} of {len(pages)}" if len(pages) > 1 else ""
        )
        drawn = _draw_page(page, file, content["classes"], title, levels or {})
        # A palette makes a third of the file. Median cut would drop the rare colours, which are those of small marks.
        drawn.quantize(256, method=Image.Quantize.FASTOCTREE).save(target, optimize=True)
    return paths


def draw_labels(image: np.ndarray, labels: Mapping[str, np.ndarray], scale: float = 1.0) -> np.ndarray:
    """Draw an image's labels over it: marks filled, exact outlines, scribbles, unlabelled areas hatched.

    Args:
        image: (H, W) or (H, W, C), any range.
        labels: maps (H, W) under ``segmentation``, ``detection``, ``separation`` as far as they are there.
        scale: the picture's size relative to the image's. Labels are drawn at the picture's size, so that outlines and
            scribbles stay visible in a small one.

    Returns:
        (round(H * scale), round(W * scale), 3) uint8.

    Raises:
        ValueError: when ``scale`` is not positive.
    """
    if scale <= 0:
        raise ValueError(f"scale {scale} must be positive.")
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    picture = Image.fromarray(to_uint8_rgb(image)).resize(
        (width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    )
    out = np.asarray(picture).astype(np.float32)
    small = {
        key: _resize(label, (height, width), keep_thin=key == "separation") for key, label in labels.items() if key in TASKS
    }
    _hatch(out, small)
    if (marks := small.get("detection")) is not None:
        for value in _classes(marks):
            out[marks == value] = 0.5 * out[marks == value] + 0.5 * np.array(class_colour(value))
    if (mask := small.get("segmentation")) is not None:
        for value in _classes(mask):
            edge = _outline(mask == value)
            # A dark rim, because a class colour alone is lost on a bright image.
            out[_grow(edge) & (mask != value)] *= 0.45
            out[edge] = class_colour(value)
    if (scribbles := small.get("separation")) is not None:
        out[scribbles == INTERFACE] = INTERFACE_COLOUR
    return out.round().astype(np.uint8)


def _resize(label: np.ndarray, size: tuple[int, int], keep_thin: bool = False) -> np.ndarray:
    """A label at another size by its pixels' centres; with ``keep_thin`` an interface anywhere in a pixel's area wins."""
    if keep_thin and size[0] <= label.shape[0] and size[1] <= label.shape[1]:
        rows, columns = ((np.arange(n) * full) // n for n, full in zip(size, label.shape, strict=True))
        where = np.logical_or.reduceat(label == INTERFACE, rows, axis=0)
        where = np.logical_or.reduceat(where, columns, axis=1)
        return np.where(where, INTERFACE, _resize(label, size))
    rows, columns = (((2 * np.arange(n) + 1) * full) // (2 * n) for n, full in zip(size, label.shape, strict=True))
    return label[np.ix_(rows, columns)]


def _classes(label: np.ndarray) -> list[int]:
    return [int(value) for value in np.unique(label) if value not in (BACKGROUND, IGNORE)]


def _hatch(out: np.ndarray, labels: Mapping[str, np.ndarray]) -> None:
    """Gray diagonal lines where a label says "not labelled", one direction for each task."""
    y, x = np.mgrid[: out.shape[0], : out.shape[1]]
    for task, lines in (("segmentation", x + y), ("detection", x - y), ("separation", x + 0 * y)):
        if task in labels:
            open_area = labels[task] == IGNORE
            out[open_area] = 0.6 * out[open_area] + 0.4 * np.array(_UNLABELLED)
            out[open_area & (lines % 8 == 0)] = _UNLABELLED


def _outline(region: np.ndarray) -> np.ndarray:
    """Pixels of a region that have a face neighbour outside; the picture's border is no outline."""
    inside = np.pad(region, 1, mode="edge")
    return region & ~(inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:])


def _grow(region: np.ndarray) -> np.ndarray:
    wide = np.pad(region, 1)
    return wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:] | region


def _draw_page(
    page: Sequence[tuple[str, int, dict[str, Any]]],
    file: Path,
    classes: Sequence[str],
    title: str,
    levels: Mapping[tuple[str, int], str],
) -> Image.Image:
    columns = max(1, min(_COLUMNS, len(page)))
    # Few large images are drawn larger: there is room.
    field = _FIELD if len(page) > 12 else (480, 480)
    columns = min(columns, 4) if len(page) <= 12 else columns
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        thumbnails = list(pool.map(lambda entry: _thumbnail(entry[2], file, field), page))
    rows = [range(start, min(start + columns, len(page))) for start in range(0, len(page), columns)]
    heights = [max(thumbnails[i].height for i in row) for row in rows]
    header, width = _legend_height(classes), 2 * _MARGIN + columns * (field[0] + _GAP) - _GAP
    width = max(width, 760)
    height = header + sum(h + _CAPTION + 2 * _GAP for h in heights) + _MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _draw_header(draw, title, classes, width)
    top = header
    for row, tallest in zip(rows, heights, strict=True):
        for column, i in enumerate(row):
            section, index, item = page[i]
            left = _MARGIN + column * (field[0] + _GAP)
            sheet.paste(thumbnails[i], (left, top))
            if level := levels.get((section, index)):
                box = (left - 4, top - 4, left + thumbnails[i].width + 3, top + thumbnails[i].height + 3)
                draw.rectangle(box, outline=_FRAMES[level], width=4)
            _draw_caption(draw, (left, top + thumbnails[i].height + 5), field[0], f"{section}[{index}]", item)
        top += tallest + _CAPTION + 2 * _GAP
    return sheet


def _thumbnail(item: Mapping[str, Any], file: Path, field: tuple[int, int]) -> Image.Image:
    """The image with its labels, as large as fits into the field; what cannot be read says so."""
    try:
        image, dims = read_image_and_dims(absolute_path(file, item["image"]))
    except ReadError:
        return _message("image cannot be read", field)
    labels = {}
    for key in TASKS:
        if has_key(item, key):
            path = absolute_path(file, item[key])
            try:
                label = like_image(read_label(path), path, absolute_path(file, item["image"]))
            except ReadError:
                continue
            if label.shape == image.shape[:dims]:
                labels[key] = label
    if dims == 3:  # the middle plane stands for a volume
        middle = image.shape[2] // 2
        image, labels = image[:, :, middle], {key: label[:, :, middle] for key, label in labels.items()}
    scale = min(field[0] / image.shape[1], field[1] / image.shape[0], 3.0)
    return Image.fromarray(draw_labels(image, labels, scale))


def _message(text: str, field: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGB", (field[0], field[1] // 2), (225, 225, 225))
    ImageDraw.Draw(picture).text((field[0] // 2, field[1] // 4), text, fill=_FRAMES["error"], font=_font(14), anchor="mm")
    return picture


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _draw_caption(draw: ImageDraw.ImageDraw, corner: tuple[int, int], width: int, where: str, item: Mapping[str, Any]) -> None:
    x, y = corner
    for key, letter in _BADGES.items():
        present = has_key(item, key)
        if key == "instances" and not present:
            continue
        if present:
            draw.rounded_rectangle((x, y, x + 15, y + 15), 3, fill=_BADGE_COLOURS[letter])
        else:
            draw.rounded_rectangle((x, y, x + 15, y + 15), 3, outline=_PALE)
        draw.text((x + 8, y + 8), letter, fill=(255, 255, 255) if present else _PALE, font=_font(11), anchor="mm")
        x += 18
    room = corner[0] + width - x - 4
    draw.text((x + 4, y + 8), _fit(draw, f"{where} {Path(item['image']).name}", room), fill=_INK, font=_font(13), anchor="lm")


def _fit(draw: ImageDraw.ImageDraw, text: str, room: float) -> str:
    """Text shortened in its middle until it fits: names often differ at their end."""
    kept = len(text)
    short = text
    while draw.textlength(short, font=_font(13)) > room and kept > 8:
        kept -= 1
        short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
    return short


def _legend(classes: Sequence[str]) -> Iterator[tuple[str, str, tuple[int, int, int]]]:
    for value, name in enumerate(classes, 1):
        yield "class", f"{value} {name}", class_colour(value)
    yield "interface", "interface", INTERFACE_COLOUR
    yield "hatch", "255: not labelled", _UNLABELLED
    for level, colour in _FRAMES.items():
        yield "frame", level, colour


def _layout(classes: Sequence[str], width: int) -> Iterable[tuple[int, int, str, str, tuple[int, int, int]]]:
    """Where each part of the legend goes, wrapped at the page's width."""
    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    x, y = _MARGIN, 44
    for kind, text, colour in _legend(classes):
        step = 26 + (26 if kind == "class" else 0) + int(probe.textlength(text, font=_font(13))) + 22
        if x + step > width and x > _MARGIN:
            x, y = _MARGIN, y + 24
        yield x, y, kind, text, colour
        x += step


def _legend_height(classes: Sequence[str]) -> int:
    # The narrowest page decides, so that the header never overlaps the first row.
    return max(y for _, y, *_ in _layout(classes, 760)) + 24 + 26


def _draw_header(draw: ImageDraw.ImageDraw, title: str, classes: Sequence[str], width: int) -> None:
    draw.text((_MARGIN, 12), title, fill=_INK, font=_font(20))
    bottom = 44
    for x, y, kind, text, colour in _layout(classes, width):
        bottom = y
        box = (x, y, x + 20, y + 15)
        if kind == "class":  # a mark is filled, an exact mask is outlined
            draw.rectangle(box, fill=tuple(int(0.5 * c + 0.5 * 180) for c in colour))
            draw.rectangle((x + 26, y, x + 46, y + 15), outline=colour, width=2)
            x += 26
        elif kind == "interface":
            draw.line((x, y + 13, x + 20, y + 2), fill=colour, width=3)
        elif kind == "hatch":
            for shift in range(0, 21, 5):
                draw.line((x + shift, y + 15, min(x + shift + 8, x + 20), y), fill=colour)
            draw.rectangle(box, outline=colour)
        else:
            draw.rectangle(box, outline=colour, width=4)
        draw.text((x + 26, y + 8), text, fill=_INK, font=_font(13), anchor="lm")
    note = "filled: inner region, outlined: exact mask. Labels: S segmentation, D detection, I separation, N instances"
    draw.text((_MARGIN, bottom + 24), note, fill=(90, 90, 90), font=_font(12))
