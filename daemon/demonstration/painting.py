"""Landscapes from parts: each part is a function that paints onto a canvas.

Places and sizes are parts of the canvas: x from 0 (left) to 1, y from 0 (top) to 1, sizes in
parts of the height. Colours are names or #rrggbb.
"""

import math
import zlib
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter

Colour = tuple[int, int, int]


class Canvas:
    """A picture that is being painted, at twice its size so that edges come out smooth."""

    def __init__(self, size: tuple[int, int], seed: str) -> None:
        self.width, self.height = 2 * size[0], 2 * size[1]
        self.image = Image.new("RGB", (self.width, self.height))
        self.random = np.random.default_rng(zlib.crc32(seed.encode()))

    @property
    def pen(self) -> ImageDraw.ImageDraw:
        """Draw solid shapes."""
        return ImageDraw.Draw(self.image)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Turn parts of the canvas into pixels."""
        return x * self.width, y * self.height

    def circle(self, x: float, y: float, radius: float, colour: str | Colour) -> None:
        """Paint a disc."""
        (px, py), r = self.at(x, y), radius * self.height
        self.pen.ellipse((px - r, py - r, px + r, py + r), fill=colour)

    def polygon(self, points: Iterable[tuple[float, float]], colour: str | Colour) -> None:
        """Paint a filled shape."""
        self.pen.polygon([self.at(x, y) for x, y in points], fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        """Paint a rectangle."""
        self.pen.rectangle((*self.at(left, top), *self.at(right, bottom)), fill=colour)

    def blend(self, colour: str, strength: Image.Image) -> None:
        """Lay a colour over all, as thickly as `strength` (mode L) says."""
        self.image.paste(colour, (0, 0, self.width, self.height), strength)

    def mask(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """Return an empty strength for `blend`, and a pen for it."""
        strength = Image.new("L", (self.width, self.height))
        return strength, ImageDraw.Draw(strength)


Part = Callable[[Canvas], None]


def paint(
    size: tuple[int, int], seed: str, parts: Iterable[Part], before: Image.Image | None = None
) -> Image.Image:
    """Return the picture of the parts, painted one over the other, twice as large as `size`.

    `before` is a picture of that kind to paint on.
    """
    canvas = Canvas(size, seed)
    if before:
        canvas.image = before.copy()
    for part in parts:
        part(canvas)
    return canvas.image


def sky(*colours: str, top: float = 0.0, bottom: float = 1.0) -> Part:
    """Paint a smooth gradient from the first colour above to the last below."""

    def part(canvas: Canvas) -> None:
        first, last = round(top * canvas.height), round(bottom * canvas.height)
        steps = np.linspace(0, len(colours) - 1, last - first)
        stops = np.array([ImageColor.getrgb(colour) for colour in colours])
        rows = np.stack([np.interp(steps, range(len(colours)), stops[:, c]) for c in range(3)], 1)
        column = Image.fromarray(rows.astype(np.uint8)[:, None])
        canvas.image.paste(column.resize((canvas.width, last - first)), (0, first))
        canvas.box(0, bottom, 1, 1, colours[-1])

    return part


def glow(x: float, y: float, radius: float, colour: str, halo: str | None = None) -> Part:
    """Paint a sun, moon or lamp, with light around it."""

    def part(canvas: Canvas) -> None:
        px, py = canvas.at(x, y)
        rows, columns = np.ogrid[: canvas.height : 8, : canvas.width : 8]
        far = np.hypot(rows - py, columns - px) / (radius * canvas.height)
        light = (200 * np.exp(-far / 2.5)).astype(np.uint8)
        strength = Image.fromarray(light).resize(
            (canvas.width, canvas.height), Image.Resampling.BILINEAR
        )
        canvas.blend(halo or colour, strength)
        canvas.circle(x, y, radius, colour)

    return part


def crescent(x: float, y: float, radius: float, dark: str) -> Part:
    """Paint a thin moon, before a sky of the colour `dark`."""

    def part(canvas: Canvas) -> None:
        canvas.circle(x, y, radius, "#f6f0d8")
        canvas.circle(x + 0.45 * radius, y - 0.2 * radius, 0.95 * radius, dark)

    return part


def stars(count: int = 250, bottom: float = 0.7) -> Part:
    """Paint stars of several sizes in the upper sky."""

    def part(canvas: Canvas) -> None:
        for x, y, size in canvas.random.random((count, 3)):
            canvas.circle(x, y * bottom, 0.0008 + 0.0022 * size**4, "#f4f1e6")

    return part


def clouds(count: int, y: float, colour: str = "#ffffff") -> Part:
    """Paint soft heaps around a height."""

    def part(canvas: Canvas) -> None:
        strength, pen = canvas.mask()
        for cx, cy, size in canvas.random.random((count, 3)):
            for dx, dy, r in canvas.random.random((9, 3)):
                px, py = canvas.at(1.1 * cx - 0.05, y + 0.16 * (cy - 0.5))
                px += (dx - 0.5) * 0.34 * (0.5 + size) * canvas.height
                py += (dy - 0.5) * 0.05 * canvas.height
                r = (0.02 + 0.04 * r) * (0.6 + size) * canvas.height
                pen.ellipse((px - r, py - 0.7 * r, px + r, py + 0.7 * r), fill=190)
        canvas.blend(colour, strength.filter(ImageFilter.GaussianBlur(canvas.height * 0.012)))

    return part


def ridge(y: float, colour: str, height: float = 0.12, rough: float = 1.0) -> Part:
    """Paint the line of hills or, where it is rough, mountains; solid to the lower edge."""

    def part(canvas: Canvas) -> None:
        x = np.linspace(0, 1, 400)
        line = np.zeros_like(x)
        for octave in range(7):
            phase, waves = canvas.random.uniform(0, 2 * np.pi), 1.3 * 2**octave
            wave = np.sin(2 * np.pi * waves * x + phase)
            line += (wave if rough < 1 else 1 - np.abs(wave)) * 2.0 ** -((2.2 - rough) * octave)
        line = y - height * line / np.abs(line).max()
        canvas.polygon([(0, 1), *zip(x, line, strict=True), (1, 1)], colour)

    return part


def sea(y: float, *colours: str, glitter: str = "", x: float = 0.5, time: float = 0.0) -> Part:
    """Paint water to the lower edge; `glitter` is the colour of the light on it, below `x`."""

    def part(canvas: Canvas) -> None:
        sky(*colours, top=y)(canvas)
        for depth, shift, length in canvas.random.random((260, 3)):
            row = y + (1 - y) * depth**1.6
            middle = x + (shift - 0.5) * (0.1 + 0.5 * depth) if glitter else shift
            middle += 0.015 * math.sin(6 * time + 40 * shift)
            half = (0.004 + 0.03 * length) * (0.3 + depth)
            thick = 0.0008 + 0.003 * depth
            canvas.box(middle - half, row, middle + half, row + thick, glitter or colours[0])

    return part


def firs(count: int, y: float, colour: str, height: float = 0.16, snow: str = "") -> Part:
    """Paint fir trees that stand around a line."""

    def part(canvas: Canvas) -> None:
        for x, dy, size in sorted(canvas.random.random((count, 3)).tolist(), key=lambda t: t[1]):
            foot, tall = y + 0.12 * dy, height * (0.6 + 0.6 * size)
            for level in range(4):
                tip = foot - tall * (0.35 + 0.22 * level)
                half = tall * 0.3 * (1 - 0.22 * level) * canvas.height / canvas.width
                canvas.polygon([(x - half, tip + 0.3 * tall), (x, tip),
                                (x + half, tip + 0.3 * tall)], colour)  # fmt: skip
                if snow:
                    canvas.polygon([(x - half / 2, tip + 0.15 * tall), (x, tip),
                                    (x + half / 2, tip + 0.15 * tall)], snow)  # fmt: skip

    return part


def trees(count: int, y: float, *colours: str, height: float = 0.2) -> Part:
    """Paint round trees with trunks."""

    def part(canvas: Canvas) -> None:
        for x, dy, size in sorted(canvas.random.random((count, 3)).tolist(), key=lambda t: t[1]):
            foot, tall = y + 0.15 * dy, height * (0.6 + 0.5 * size)
            canvas.box(x - 0.004, foot - 0.6 * tall, x + 0.004, foot, "#4a3426")
            for dx, up, r in canvas.random.random((14, 3)):
                colour = colours[int(canvas.random.integers(len(colours)))]
                canvas.circle(x + (dx - 0.5) * 0.5 * tall, foot - tall * (0.5 + 0.5 * up),
                              tall * (0.1 + 0.1 * r), colour)  # fmt: skip

    return part


def flowers(y: float, *colours: str, count: int = 260) -> Part:
    """Paint a meadow in bloom, larger towards the lower edge."""

    def part(canvas: Canvas) -> None:
        for depth, x in sorted(canvas.random.random((count, 2)).tolist()):
            row, size = y + (1 - y) * depth, 0.004 + 0.018 * depth
            canvas.box(x - 0.001, row, x + 0.001, row + 4 * size, "#2f6b34")
            colour = colours[int(canvas.random.integers(len(colours)))]
            for turn in range(5):
                angle = turn * 2 * math.pi / 5
                canvas.circle(x + 0.6 * size * math.cos(angle), row + 0.8 * size * math.sin(angle),
                              0.6 * size, colour)  # fmt: skip
            canvas.circle(x, row, 0.45 * size, "#ffe27a")

    return part


def town(y: float, wall: str, lit: str, count: int = 26, height: float = 0.4) -> Part:
    """Paint the outline of a city, with lamps in some of its windows."""

    def part(canvas: Canvas) -> None:
        for tall, x, wide in canvas.random.random((count, 3)):
            left, right = x - 0.02 - 0.03 * wide, x + 0.02 + 0.03 * wide
            top = y - height * (0.25 + 0.75 * tall)
            canvas.box(left, top, right, 1, wall)
            for row in np.arange(top + 0.02, y - 0.01, 0.03):
                for column in np.arange(left + 0.006, right - 0.008, 0.013):
                    if canvas.random.random() < 0.45:
                        canvas.box(column, row, column + 0.006, row + 0.014, lit)

    return part


def house(x: float, y: float, size: float, wall: str, roof: str, lit: str = "#ffd98a") -> Part:
    """Paint a cottage with two windows, a door and a chimney."""

    def part(canvas: Canvas) -> None:
        w, h = size * canvas.height / canvas.width, size
        canvas.box(x + 0.25 * w, y - 1.35 * h, x + 0.4 * w, y - 0.8 * h, roof)
        canvas.box(x - 0.7 * w, y - 0.7 * h, x + 0.7 * w, y, wall)
        canvas.polygon([(x - 0.85 * w, y - 0.7 * h), (x, y - 1.4 * h), (x + 0.85 * w, y - 0.7 * h)],
                       roof)  # fmt: skip
        for dx in (-0.5, 0.22):
            canvas.box(x + dx * w, y - 0.5 * h, x + (dx + 0.28) * w, y - 0.22 * h, lit)
        canvas.box(x - 0.14 * w, y - 0.45 * h, x + 0.1 * w, y, roof)

    return part


def boat(x: float, y: float, size: float, hull: str = "#5b2f22", sail: str = "#f4ead5") -> Part:
    """Paint a small sailing boat."""

    def part(canvas: Canvas) -> None:
        w, h = size * canvas.height / canvas.width, size
        canvas.polygon([(x - w, y - 0.2 * h), (x + w, y - 0.2 * h), (x + 0.6 * w, y + 0.1 * h),
                        (x - 0.6 * w, y + 0.1 * h)], hull)  # fmt: skip
        canvas.polygon([(x, y - 0.3 * h), (x, y - 1.9 * h), (x + 0.9 * w, y - 0.3 * h)], sail)
        canvas.polygon([(x - 0.08 * w, y - 0.3 * h), (x - 0.08 * w, y - 1.6 * h),
                        (x - 0.7 * w, y - 0.3 * h)], sail)  # fmt: skip

    return part


def lighthouse(x: float, y: float, size: float, beam: str = "") -> Part:
    """Paint a striped tower, at night with its beam."""

    def part(canvas: Canvas) -> None:
        w, h = 0.13 * size * canvas.height / canvas.width, size
        if beam:
            strength, pen = canvas.mask()
            lamp = canvas.at(x, y - 1.06 * h)
            pen.polygon([lamp, canvas.at(1.0, y - 1.5 * h), canvas.at(1.0, y - 0.9 * h)], fill=110)
            canvas.blend(beam, strength.filter(ImageFilter.GaussianBlur(canvas.height * 0.01)))
        for band in range(6):
            low, high = band / 6, (band + 1) / 6
            colour = "#b3372f" if band % 2 else "#f3efe6"
            canvas.polygon([(x - w * (1 - 0.4 * low), y - h * low),
                            (x + w * (1 - 0.4 * low), y - h * low),
                            (x + w * (1 - 0.4 * high), y - h * high),
                            (x - w * (1 - 0.4 * high), y - h * high)], colour)  # fmt: skip
        canvas.box(x - 0.6 * w, y - 1.1 * h, x + 0.6 * w, y - h, "#ffe9a8")
        canvas.polygon([(x - 0.8 * w, y - 1.1 * h), (x, y - 1.22 * h), (x + 0.8 * w, y - 1.1 * h)],
                       "#3b2a2a")  # fmt: skip

    return part


def balloon(x: float, y: float, size: float, *colours: str) -> Part:
    """Paint a hot-air balloon with stripes and a basket."""

    def part(canvas: Canvas) -> None:
        px, py = canvas.at(x, y)
        r = size * canvas.height
        for number in range(5):
            half = r * (1 - number / 5)
            canvas.pen.ellipse((px - half, py - r, px + half, py + r),
                               fill=colours[number % len(colours)])  # fmt: skip
        basket = (px - 0.18 * r, py + 1.5 * r, px + 0.18 * r, py + 1.75 * r)
        for side in (-1, 1):
            canvas.pen.line((px + side * 0.6 * r, py + 0.8 * r, px + side * 0.16 * r, py + 1.5 * r),
                            fill="#3b2a20", width=max(1, round(r / 30)))  # fmt: skip
        canvas.pen.rectangle(basket, fill="#7a5230")

    return part


def falling(count: int, colour: str, time: float = 0.0, streak: float = 0.0) -> Part:
    """Paint snow, or with a `streak` rain; `time` in seconds moves it."""

    def part(canvas: Canvas) -> None:
        for x, y, size in canvas.random.random((count, 3)):
            speed = 0.12 + 0.15 * size
            row = (y + time * speed) % 1
            if streak:
                line = (*canvas.at(x, row), *canvas.at(x - 0.2 * streak, row + streak))
                canvas.pen.line(line, fill=colour, width=2)
            else:
                column = x + 0.01 * math.sin(2 * time + 9 * size)
                canvas.circle(column, row, 0.0025 + 0.004 * size, colour)

    return part


def aurora(colour: str, y: float = 0.35) -> Part:
    """Paint curtains of light."""

    def part(canvas: Canvas) -> None:
        x = np.linspace(0, 1, canvas.width // 8)
        rows = np.linspace(0, 1, canvas.height // 8)[:, None]
        light = np.zeros((len(rows), len(x)))
        for phase, waves, lift in canvas.random.random((3, 3)):
            foot = y + 0.2 * lift + 0.06 * np.sin(2 * np.pi * ((1 + 2 * waves) * x + phase))
            above = foot - rows
            folds = 0.65 + 0.35 * np.sin(2 * np.pi * 11 * x + 9 * np.sin(5 * x + phase))
            light += np.where(above > 0, np.exp(-above / 0.13), np.exp(above / 0.015)) * folds
        strength = Image.fromarray((190 * np.clip(light, 0, 1)).astype(np.uint8))
        size = (canvas.width, canvas.height)
        canvas.blend(colour, strength.resize(size, Image.Resampling.BILINEAR))

    return part


def rainbow(x: float, y: float, radius: float) -> Part:
    """Paint a rainbow; its lower ends may hide behind what is painted next."""

    def part(canvas: Canvas) -> None:
        px, py = canvas.at(x, y)
        hues = ("#e0483e", "#f08c3a", "#f6d743", "#5cb85c", "#4a8fd8", "#6a4fb3")
        for number, colour in enumerate(hues):
            r = (radius - 0.016 * number) * canvas.height
            strength, pen = canvas.mask()
            pen.arc((px - r, py - r, px + r, py + r), 180, 360, fill=120,
                    width=round(0.017 * canvas.height))  # fmt: skip
            canvas.blend(colour, strength)

    return part


def birds(count: int, y: float, colour: str = "#2a2a33") -> Part:
    """Paint a few birds, far away."""

    def part(canvas: Canvas) -> None:
        for x, dy, size in canvas.random.random((count, 3)):
            px, py = canvas.at(0.15 + 0.7 * x, y + 0.12 * dy)
            r = (0.008 + 0.012 * size) * canvas.height
            for side in (-1, 1):
                middle = px + side * r
                canvas.pen.arc((middle - r, py - r / 2, middle + r, py + r), 200, 340,
                               fill=colour, width=4)  # fmt: skip

    return part
