"""Pictures that a notebook shows, without a library that plots."""
from __future__ import annotations

import struct
import zlib
from typing import Any, Mapping, Optional, Sequence

import numpy

WIDTH, HEIGHT, MARGIN = 560, 320, 48  # of an SVG picture, in pixels
# Colours that differ for readers with any colour vision (Okabe & Ito 2008).
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000", "#999999", "#7f3c8d")


class Svg:
    """A picture of lines and points."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_svg_(self) -> str:
        return self.text


class Png:
    """A picture of pixels, (height, width) grey or (height, width, 3), bytes."""

    def __init__(self, pixels: numpy.ndarray) -> None:
        self.pixels = numpy.ascontiguousarray(pixels, "u1")

    def _repr_png_(self) -> bytes:
        height, width = self.pixels.shape[:2]
        color = 2 if self.pixels.ndim == 3 else 0
        lines = b"".join(b"\0" + line.tobytes() for line in self.pixels)
        parts = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts)


class _Axes:
    """Maps values to places of a picture, and draws their limits."""

    def __init__(self, x: numpy.ndarray, y: numpy.ndarray, labels: Sequence[str]) -> None:
        self.low = numpy.array([numpy.nanmin(x), numpy.nanmin(y)], float)
        self.high = numpy.array([numpy.nanmax(x), numpy.nanmax(y)], float)
        self.labels = labels

    def places(self, x: Any, y: Any) -> numpy.ndarray:
        """(n, 2): pixels."""
        size = numpy.where(self.high > self.low, self.high - self.low, 1)
        part = (numpy.column_stack([x, y]) - self.low) / size
        return numpy.column_stack([MARGIN + part[:, 0] * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - part[:, 1] * (HEIGHT - 2 * MARGIN)])

    def picture(self, content: Sequence[str], names: Sequence[str]) -> Svg:
        right, bottom = WIDTH - MARGIN, HEIGHT - MARGIN
        texts = [
            (MARGIN, bottom + 16, "start", f"{self.low[0]:.4g}"), (right, bottom + 16, "end", f"{self.high[0]:.4g}"),
            (MARGIN - 4, bottom, "end", f"{self.low[1]:.4g}"), (MARGIN - 4, MARGIN + 10, "end", f"{self.high[1]:.4g}"),
            (WIDTH / 2, bottom + 32, "middle", self.labels[0]), (MARGIN, MARGIN - 8, "start", self.labels[1])]
        lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
                 f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
                 f'<path d="M{MARGIN} {MARGIN}V{bottom}H{right}" fill="none" stroke="#444"/>', *content]
        lines += [f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{_escaped(text)}</text>' for x, y, anchor, text in texts]
        lines += [f'<text x="{WIDTH - 4}" y="{MARGIN + 14 * i}" text-anchor="end" fill="{_color(i)}">{_escaped(name)}</text>' for i, name in enumerate(names)]
        return Svg("\n".join([*lines, "</svg>"]))


def _color(i: int) -> str:
    return COLORS[i % len(COLORS)]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def curves(lines: Mapping[str, tuple[Any, Any]], x_label: str = "", y_label: str = "") -> Svg:
    """Lines by their names, each with its x and y."""
    all_x = numpy.concatenate([numpy.asarray(x, float) for x, _ in lines.values()])
    all_y = numpy.concatenate([numpy.asarray(y, float) for _, y in lines.values()])
    axes = _Axes(all_x, all_y, (x_label, y_label))
    content = []
    for i, (x, y) in enumerate(lines.values()):
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in axes.places(x, y))
        content.append(f'<polyline points="{path}" fill="none" stroke="{_color(i)}" stroke-width="1.5"/>')
    return axes.picture(content, list(lines))


def scatter(points: numpy.ndarray, groups: Optional[Sequence[Any]] = None, x_label: str = "", y_label: str = "") -> Svg:
    """Points (n, 2), coloured by their groups."""
    axes = _Axes(points[:, 0], points[:, 1], (x_label, y_label))
    names = [] if groups is None else sorted(set(groups))
    number = {name: i for i, name in enumerate(names)}
    colors = [_color(0 if groups is None else number[groups[i]]) for i in range(len(points))]
    content = [f'<circle cx="{left:.1f}" cy="{top:.1f}" r="2" fill="{color}"/>'
               for (left, top), color in zip(axes.places(points[:, 0], points[:, 1]), colors)]
    return axes.picture(content, [str(name) for name in names])


def grid(images: numpy.ndarray, columns: int = 16, enlarged: int = 1) -> Png:
    """Images (n, 1 or 3, height, width) in [0, 1], line by line."""
    count, channels, height, width = images.shape
    lines = -(-count // columns)
    pixels = numpy.zeros((lines * columns, channels, height, width), "u1")
    pixels[:count] = numpy.clip(numpy.rint(images * 255), 0, 255)
    whole = pixels.reshape(lines, columns, channels, height, width).transpose(0, 3, 1, 4, 2).reshape(lines * height, columns * width, channels)
    whole = whole.repeat(enlarged, 0).repeat(enlarged, 1)
    return Png(whole if channels == 3 else whole[:, :, 0])
