"""Dots per inch: one block for what JPEG, PNG and TIFF each write in their own way.

Pixels do not change with it; print shops, scanners and page layout do.
"""

import struct
from dataclasses import dataclass
from fractions import Fraction

NO_UNIT, INCH, CENTIMETRE = 1, 2, 3  # as in TIFF; without a unit, x : y is a pixel's shape

_BLOCK = ">B4I"
_LARGEST = 0xFFFF


@dataclass(frozen=True)
class Resolution:
    """Pixels a unit of length, across and down."""

    x: Fraction
    y: Fraction
    unit: int

    def to_block(self) -> bytes:
        """For `Photo.metadata`; empty if it says nothing: square pixels of no size."""
        if self.x <= 0 or self.y <= 0 or (self.unit == NO_UNIT and self.x == self.y):
            return b""
        x, y = (v.limit_denominator(10_000) for v in (self.x, self.y))
        try:
            return struct.pack(
                _BLOCK, self.unit, x.numerator, x.denominator, y.numerator, y.denominator
            )
        except struct.error:  # thousands of millions of dots: damage
            return b""

    @staticmethod
    def from_block(block: bytes) -> "Resolution":
        unit, x, x_over, y, y_over = struct.unpack(_BLOCK, block)
        return Resolution(Fraction(x, x_over), Fraction(y, y_over), unit)

    def to_jfif(self) -> bytes | None:
        """Unit, x and y as in JPEG's APP0, whole numbers; None if they do not fit."""
        x, y, unit = self.x, self.y, self.unit
        if unit == CENTIMETRE and not (x.denominator == y.denominator == 1):
            x, y, unit = x * Fraction("2.54"), y * Fraction("2.54"), INCH
        if unit == NO_UNIT:
            shape = (x / y).limit_denominator(_LARGEST)
            x, y = Fraction(shape.numerator), Fraction(shape.denominator)
        whole = round(x), round(y)
        if not all(0 < v <= _LARGEST for v in whole):
            return None
        return struct.pack(">BHH", unit - 1, *whole)

    def to_phys(self) -> bytes | None:
        """x, y and unit as in PNG's pHYs, whole numbers a metre; None if they do not fit."""
        if self.unit == NO_UNIT:
            shape = (self.x / self.y).limit_denominator(_LARGEST)
            return struct.pack(">IIB", shape.numerator, shape.denominator, 0)
        per_metre = 100 if self.unit == CENTIMETRE else Fraction(10_000, 254)
        whole = round(self.x * per_metre), round(self.y * per_metre)
        return struct.pack(">IIB", *whole, 1) if all(0 < v < 1 << 31 for v in whole) else None


def from_jfif(body: bytes) -> bytes:
    """Block of a JPEG's APP0 body; empty if it tells nothing."""
    if len(body) < 12 or body[7] > 2:
        return b""
    unit, x, y = struct.unpack_from(">BHH", body, 7)
    return Resolution(Fraction(x), Fraction(y), unit + 1).to_block()


def from_phys(body: bytes) -> bytes:
    """Block of a PNG's pHYs body; empty if it tells nothing."""
    if len(body) != 9 or body[8] > 1:
        return b""
    x, y, metres = struct.unpack(">IIB", body)
    over = 100 if metres else 1
    return Resolution(Fraction(x, over), Fraction(y, over), CENTIMETRE if metres else 1).to_block()
