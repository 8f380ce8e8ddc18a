"""Peaks of named chips, for estimates. None of them was measured here.

TOPS are vendors' figures: 2 operations a multiply-accumulate, at the chip's full clock. Where a
vendor quotes int8, fp16 is taken as half of it. Bandwidth is the memory's data rate times its
width, shared with everything else on the chip.
"""

from dataclasses import dataclass

Range = tuple[float, float]

# What starting one inference costs, in ms. Apple's engine: 0.23 measured by the authors of the
# ane-guide; the others are assumed, no source was found.
ANE_DISPATCH: Range = (0.23, 0.5)
ASSUMED_DISPATCH: Range = (0.2, 1.0)


@dataclass(frozen=True)
class Chip:
    """fp16, int8: peak TOPS; int8 equals fp16 where integers are no faster. gbs: GB/s, low and
    high. dispatch: ms for starting one inference. target: its readiness rules."""

    key: str
    title: str
    target: str
    fp16: float
    int8: float
    gbs: Range
    dispatch: Range
    source: str


def _apple(key: str, title: str, fp16: float, int8: float, gbs: float, source: str) -> Chip:
    return Chip(key, title, "ane", fp16, int8, (gbs, gbs), ANE_DISPATCH, source)


def _intel(key: str, title: str, int8: float, gbs: Range, source: str) -> Chip:
    return Chip(key, title, "intel-npu", int8 / 2, int8, gbs, ASSUMED_DISPATCH, source)


def _qualcomm(key: str, title: str, int8: float, gbs: float, source: str) -> Chip:
    return Chip(key, title, "htp", int8 / 2, int8, (gbs, gbs), ASSUMED_DISPATCH, source)


CHIPS = {
    chip.key: chip
    for chip in (
        _apple("m1", "Apple M1", 11.0, 11.0, 68.25, "Apple: 11 TOPS"),
        _apple("m2", "Apple M2", 15.8, 15.8, 100.0, "Apple: 15.8 TOPS"),
        _apple("m3", "Apple M3", 18.0, 18.0, 100.0, "Apple: 18 TOPS"),
        _apple("m4", "Apple M4", 19.0, 38.0, 120.0, "Apple: 38 TOPS, taken as int8"),
        _apple("a15", "Apple A15", 15.8, 15.8, 34.1, "Apple: 15.8 TOPS; LPDDR4X-4266, 64 bit"),
        _apple("a16", "Apple A16", 17.0, 17.0, 51.2, "Apple: 17 TOPS; LPDDR5-6400, 64 bit"),
        _apple("a17-pro", "Apple A17 Pro", 17.5, 35.0, 51.2, "Apple: 35 TOPS, taken as int8"),
        _intel(
            "meteor-lake",
            "Intel NPU 3 (Meteor Lake)",
            11.5,
            (89.6, 119.5),
            "kitguru.net: 11.5 TOPS; DDR5-5600 to LPDDR5X-7467, 128 bit",
        ),
        _intel(
            "lunar-lake",
            "Intel NPU 4 (Lunar Lake)",
            48.0,
            (136.5, 136.5),
            "kitguru.net: 48 TOPS; LPDDR5X-8533, 128 bit",
        ),
        _intel(
            "panther-lake",
            "Intel NPU 5 (Panther Lake)",
            50.0,
            (119.5, 153.6),
            "indiekings.com: 50 TOPS; LPDDR5X-7467 to 9600, 128 bit",
        ),
        _qualcomm(
            "snapdragon-8-gen-3",
            "Snapdragon 8 Gen 3",
            45.0,
            76.8,
            "runlocalai.co: 45 TOPS, Qualcomm published none; LPDDR5X-4800, 64 bit",
        ),
        _qualcomm(
            "snapdragon-x-elite",
            "Snapdragon X Elite",
            45.0,
            135.2,
            "theregister.com: 45 TOPS; LPDDR5X-8448, 128 bit",
        ),
    )
}


def chips_of(target: str) -> list[Chip]:
    """Chips whose NPU is judged by this readiness target; none for "litert", which is no chip."""
    return [chip for chip in CHIPS.values() if chip.target == target]
