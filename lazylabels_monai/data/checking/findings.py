"""What a check found: for machines (:class:`Finding`), for people (:class:`CheckReport`), and what each code means."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lazylabels_monai.data.datalist import DatalistError
from lazylabels_monai.errors import some_of
from lazylabels_monai.images.faults import ERROR, IMAGE_CODES, WARNING, Code, Fault
from lazylabels_monai.images.places import ELSEWHERE, REMEDY

__all__ = ["CODES", "CheckReport", "Code", "Fault", "Finding", "messages"]

#: From this many images on, findings of one code become one sentence.
_GROUP = 4


#: The findings about what is drawn, which only ``marks=True`` looks for, and about what the images look like.
CODES: dict[str, Code] = {
    "inner-crosses-interface": Code(
        ERROR,
        "inner region{s} cut through by an interface scribble",
        "draw one mark inside each object, or erase the scribble where there is one object only",
    ),
    "inner-spans-objects": Code(
        ERROR,
        "inner region{s} across two objects of the exact label",
        "draw one mark inside each object",
    ),
    "strong-disagrees-inner": Code(
        ERROR,
        "inner region{s} on another class of the exact mask, or on its background",
        "correct the class of the one that is wrong, or give both labels of this very image",
    ),
    "mask-equals-inner": Code(
        ERROR,
        'pixels, all the same as under "detection", though inner regions leave the border of objects out',
        'give the exact mask, or keep the file under "detection" only',
    ),
    "inner-meets-class": Code(
        WARNING,
        "inner region{s} touching a mark of another class",
        "leave the border of each object free, and give an object one class",
    ),
    "inner-leaves-object": Code(
        WARNING,
        "inner region{s} reaching out of the object in the exact mask",
        "draw them smaller, or correct the mask",
    ),
    "ids-disagree": Code(
        WARNING,
        "object{s} of the ids or of the exact mask of which the other shows nothing",
        'correct the one that is wrong, or remove the key "instances": the mask\'s connected pieces are the objects then',
    ),
    "object-without-inner": Code(
        WARNING,
        "object{s} of the exact mask without an inner region where the others have one",
        "mark them, or set them to 255 (not labelled): unmarked objects teach background",
    ),
    "partly-marked": Code(
        WARNING,
        "object{s} of the exact mask without an inner region, which is most of them",
        "set what was not looked at to 255 (not labelled): unmarked objects teach background",
    ),
    "mask-sliver": Code(
        WARNING,
        "thin sliver{s} in the exact mask",
        "smooth the mask there if the object has no such tail",
    ),
    "mask-speck": Code(WARNING, "speck{s} of a few pixels in the exact mask", "erase them if they are no objects"),
    "ids-binary": Code(
        ERROR,
        "",
        "number the objects 1, 2, 3, ... (lazylabels datalist --ids pieces numbers connected pieces)",
        "one id in several pieces, like binary masks",
    ),
    "ids-classes": Code(
        ERROR,
        "",
        "number the objects 1, 2, 3, ..., and give classes under segmentation",
        "ids of many pieces each, like maps of classes",
    ),
    "ids-pieces": Code(
        WARNING, "", "give each object a number of its own, if the pieces are several objects", "an id in many pieces"
    ),
    "ids-background": Code(
        ERROR, "", "save background as 0 and each object with a number of its own", "an id around all others, like a background"
    ),
    "ids-outlines": Code(
        WARNING, "", "fill the outlines: an object is all of its pixels", "outlines whose inside is empty where objects belong"
    ),
    "ids-specks": Code(WARNING, "", "erase them if they are no objects", "more ids of a few pixels than objects"),
    "label-smoothed": Code(
        ERROR,
        "",
        "save it without anti-aliasing or losses, resized with nearest neighbours only",
        "values between two others along the edges, as smoothing and compression with losses make them",
    ),
    "label-picture": Code(
        ERROR, "", "give the label itself, with one value per pixel", "values scattered over it, like a picture"
    ),
    "classes-ids": Code(
        WARNING,
        "",
        "if these are object ids, make the data set with lazylabels datalist from a folder masks/",
        "many values, each in one piece, like object ids",
    ),
    "classes-background": Code(
        WARNING, "", "save it as 0 if it is the background", "a value other than 0 around all others, like a background"
    ),
    "label-elsewhere": Code(ERROR, "", REMEDY, ELSEWHERE),
    "image-replaced": Code(
        WARNING,
        "",
        'put the picture of before back, or give labels of this one; if they fit it, remove the key "digest"',
        'other pixels than those that the labels were made for ("digest")',
    ),
    **IMAGE_CODES,
}


@dataclass(frozen=True)
class Finding:
    """One thing to mend or to look at.

    Args:
        level: ``"error"``: training is pointless or learns what is wrong; ``"warning"``: look at it.
        code: short name that stays the same over versions.
        message: one sentence that names the file, the key and the remedy.
        section: split of the item, None where the finding is about the whole data set.
        index: position of the item in its split.
        key: key of the item that names the file at fault.
        image: the item's image as the datalist has it.
        file: the file at fault as the datalist has it.
        pixels: how many pixels are concerned, None where that is not counted.
        objects: how many objects, marks or pieces, None where they are not counted.
        location: index of the first pixel concerned: (y, x) in pictures, as MONAI loads it in volumes.
    """

    level: str
    code: str
    message: str
    section: str | None = None
    index: int | None = None
    key: str | None = None
    image: str | None = None
    file: str | None = None
    pixels: int | None = None
    objects: int | None = None
    location: tuple[int, ...] | None = None

    @staticmethod
    def of_fault(fault: Fault, section: str, index: int, item: dict[str, Any]) -> Finding:
        """The finding for a fault of an item, with its sentence."""
        code, file = CODES[fault.code], item.get("image" if fault.key == "pixel_size" else fault.key)
        number = fault.of if fault.of is not None else fault.objects
        phrase = f"{fault.counted()} {code.what}".strip().replace("{s}", "" if number == 1 else "s")
        message = f"{section}[{index}] \"{fault.key}\": file '{file}' has {phrase}{fault.place()}: {code.remedy}."
        image = item["image"]
        return Finding(
            code.level,
            fault.code,
            message,
            section,
            index,
            fault.key,
            image,
            file,
            fault.pixels,
            fault.objects,
            fault.location,
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class CheckReport:
    """What :func:`~lazylabels_monai.data.checking.check_datalist` found.

    Args:
        errors: findings that make training pointless or impossible, a sentence each.
        warnings: findings to look at, a sentence each.
        table: how many images carry which label, for people to read.
        findings: the same for machines, one for each image and code, where ``errors`` and ``warnings`` sum up what many
            images share.
    """

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    table: str = ""
    findings: list[Finding] = field(default_factory=list)

    @staticmethod
    def of(findings: Sequence[Finding], table: str = "") -> CheckReport:
        """Sum findings up in sentences."""
        return CheckReport(messages(findings, ERROR), messages(findings, WARNING), table, list(findings))

    def log(self, logger: logging.Logger | None = None) -> CheckReport:
        """Log the table and the warnings; returns itself, so that ``.log().raise_errors()`` can follow."""
        logger = logger or logging.getLogger("lazylabels_monai")
        if self.table:
            logger.info("Data set:\n%s", self.table)
        for warning in self.warnings:
            logger.warning(warning)
        return self

    def raise_errors(self, limit: int = 20) -> CheckReport:
        """Raise when there are errors, otherwise return itself.

        Raises:
            DatalistError: with the first ``limit`` errors, one a line, and how many more there are.
        """
        if self.errors:
            raise DatalistError(self.errors, limit)
        return self

    def as_dict(self) -> dict[str, Any]:
        """For JSON: ``{"errors": n, "warnings": n, "findings": [{"level", "code", "message", "section", ...}, ...]}``."""
        counts = {f"{level}s": sum(f.level == level for f in self.findings) for level in (ERROR, WARNING)}
        return {**counts, "findings": [finding.as_dict() for finding in self.findings]}

    def framed(self) -> dict[tuple[str, int], str]:
        """The highest level of each image that has a finding, by split and position: for the contact sheet's frames."""
        levels: dict[tuple[str, int], str] = {}
        for finding in self.findings:
            if finding.section is not None and finding.index is not None:
                place = (finding.section, finding.index)
                levels[place] = ERROR if ERROR in (finding.level, levels.get(place)) else WARNING
        return levels


def messages(findings: Sequence[Finding], level: str) -> list[str]:
    """Sentences of one level; what many images share becomes one sentence that names the worst of them."""
    groups = defaultdict(list)
    for finding in findings:
        if finding.level == level:
            groups[finding.code].append(finding)
    sentences, summed_up = [], set()
    for finding in findings:
        if finding.level != level or finding.code in summed_up:
            continue
        group = groups[finding.code]
        if finding.code in CODES and len(group) >= _GROUP:
            sentences.append(_summary(finding.code, group))
            summed_up.add(finding.code)
        else:
            sentences.append(finding.message)
    return sentences


def _summary(code: str, group: list[Finding]) -> str:
    # Python's sort keeps the datalist's order among equals.
    worst = sorted(group, key=lambda f: -(f.objects if f.objects is not None else f.pixels or 0))
    named = []
    for finding in worst:
        count = f" ({finding.objects})" if finding.objects is not None else ""
        named.append(f"{finding.section}[{finding.index}] '{finding.file}'{count}")
    code_text = CODES[code]
    counted = not code_text.many and all(f.objects is not None for f in group)
    what = f"{sum(f.objects or 0 for f in group)} {code_text.what}" if counted else code_text.many or code_text.what
    what = what.replace("{s}", "s")
    return f'"{group[0].key}" of {len(group)} images has {what}: {some_of(named)}; {code_text.remedy} ({code}).'
