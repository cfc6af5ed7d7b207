"""How far apart two colours look, to people of full and of deficient colour vision: numbers for tests.

CIEDE2000: Sharma, Wu & Dalal 2005. Deficient vision: matrices of Machado, Oliveira & Fernandes 2009 at
severity 1, on linear RGB. Contrast: WCAG 2.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
D65 = TO_XYZ.sum(axis=1)
VISIONS = {
    "full": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0519]],
    "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6727, 0.0472], [-0.0118, 0.0429, 0.9689]],
    "tritanopia": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1477], [0.0047, 0.6914, 0.3039]],
}


def linear(color: str) -> Floats:
    """(3,) linear RGB, 0 to 1, of "#rrggbb"."""
    coded = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def lab(color: str, vision: str = "full") -> Floats:
    """(3,) CIE L*a*b* of "#rrggbb", as this vision has it."""
    seen = np.clip(np.asarray(VISIONS[vision]) @ linear(color), 0, 1)
    t = TO_XYZ @ seen / D65
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def ciede2000(one: Floats, other: Floats) -> float:
    """The difference of two colours in L*a*b*; about 1 can just be seen side by side."""
    mean_chroma = (np.hypot(*one[1:]) + np.hypot(*other[1:])) / 2
    stretch = 1.5 - 0.5 * np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25.0**7))
    chroma = [np.hypot(stretch * color[1], color[2]) for color in (one, other)]
    hue = [np.degrees(np.arctan2(color[2], stretch * color[1])) % 360 for color in (one, other)]
    turn = 0.0 if min(chroma) == 0 else (hue[1] - hue[0] + 180) % 360 - 180
    middle = sum(hue) if min(chroma) == 0 else hue[0] + turn / 2
    c, light = sum(chroma) / 2, (one[0] + other[0]) / 2 - 50
    cosines = [np.cos(np.radians(k * middle + of)) for k, of in ((1, -30), (2, 0), (3, 6), (4, -63))]
    weight = 1 - 0.17 * cosines[0] + 0.24 * cosines[1] + 0.32 * cosines[2] - 0.2 * cosines[3]
    dl = (other[0] - one[0]) / (1 + 0.015 * light**2 / np.sqrt(20 + light**2))
    dc = (chroma[1] - chroma[0]) / (1 + 0.045 * c)
    dh = 2 * np.sqrt(chroma[0] * chroma[1]) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * c * weight)
    bend = 60 * np.exp(-((((middle % 360) - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(c**7 / (c**7 + 25.0**7)) * np.sin(np.radians(bend))
    return float(np.sqrt(dl**2 + dc**2 + dh**2 + rotation * dc * dh))


def apart(one: str, other: str, vision: str = "full") -> float:
    """CIEDE2000 of two "#rrggbb" as this vision has them."""
    return ciede2000(lab(one, vision), lab(other, vision))


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two "#rrggbb", 1 to 21."""
    low, high = sorted(float(TO_XYZ[1] @ linear(color)) for color in (one, other))
    return (high + 0.05) / (low + 0.05)
