"""What the kinds of objects look like: a fit of a shape to a noun, 0 to 1.

Bounds are those of household objects, in m, and soft: the second number of `_between` pairs is
where a fit ends.
"""

from __future__ import annotations

from collections.abc import Callable

from novaflow_perception.core.shape import Shape, ramp


def _between(value: float, low: float, high: float, soft: float) -> float:
    return min(ramp(value, low - soft, low), 1.0 - ramp(value, high, high + soft))


def _round(s: Shape) -> float:
    return 1.0 - s.boxy


def _open(s: Shape) -> float:
    """1 with an opening, 0 with a lid."""
    return ramp(s.hollow, 0.03, 0.08)


def _closed(s: Shape) -> float:
    return 1.0 - _open(s)


def _lidded(s: Shape) -> float:
    """1 when its top is mostly a level lid."""
    return ramp(s.lid, 0.48, 0.62)


def _upright(s: Shape) -> float:
    """Height over width; the smaller side counts, for a handle makes the larger one longer."""
    return s.height_m / max(s.short_m, 0.01)


def _box(s: Shape) -> float:
    thick = ramp(s.height_m, 0.008, 0.016)
    return s.boxy * thick * _between(s.big_m, 0.03, 0.45, 0.03) * (1.0 - 0.7 * _open(s))


def _brick(s: Shape) -> float:
    return s.boxy * _between(s.big_m, 0.015, 0.20, 0.03) * (1.0 - 0.7 * _open(s))


def _equal_sides(s: Shape) -> float:
    sides = sorted([s.long_m, s.short_m, s.height_m])
    return sides[0] / max(sides[2], 0.01)


def _block(s: Shape) -> float:
    """A cube as well, but beside something longer it would be called a cube."""
    return _brick(s) * (1.0 - 0.35 * ramp(_equal_sides(s), 0.7, 0.85))


def _cube(s: Shape) -> float:
    return _brick(s) * ramp(_equal_sides(s), 0.5, 0.75)


def _book(s: Shape) -> float:
    return s.boxy * _between(s.long_m, 0.12, 0.40, 0.03) * (1 - ramp(s.height_m, 0.03, 0.045))


def _carton(s: Shape) -> float:
    """An upright one before all, but any box may be called so."""
    tall = s.boxy * _between(s.height_m, 0.10, 0.35, 0.03) * ramp(_upright(s), 0.9, 1.3)
    return max(tall, 0.6 * _box(s))


def _bottle(s: Shape) -> float:
    lidded = 1.0 - ramp(s.lid, 0.10, 0.22)  # a bottle ends in a neck, not in a lid
    slim = ramp(s.height_m / max(s.long_m, 0.01), 0.9, 1.3)
    size = _between(s.height_m, 0.13, 0.40, 0.03)
    neck = ramp(s.taper, 1.3, 1.8)
    return max(1.0 - s.boxy, neck) * slim * size * (0.4 + 0.6 * lidded)


def _cup(s: Shape) -> float:
    # A handle that juts out is thin, so its depth is mixed with what lies behind it: up to 40 mm
    # more than there are were seen.
    wide = 1.0 if s.lying else _between(s.long_m, 0.05, 0.165, 0.02)
    size = _between(s.girth_m, 0.05, 0.115, 0.015) * wide
    return _round(s) * size * _between(s.length_m, 0.05, 0.135, 0.02) * (0.65 + 0.35 * _open(s))


def _bowl(s: Shape) -> float:
    size = _between(s.long_m, 0.10, 0.32, 0.02) * _between(s.height_m, 0.03, 0.15, 0.02)
    wide = ramp(s.long_m / max(s.height_m, 0.01), 1.1, 1.5)
    return _round(s) * size * wide * max(_open(s), 0.5 * (1.0 - ramp(s.lid, 0.05, 0.15)))


def _tub(s: Shape) -> float:
    low = _between(min(s.short_m, s.height_m), 0.03, 0.25, 0.02)
    wide = 0.4 + 0.6 * ramp(s.short_m, 0.07, 0.11)
    return _round(s) * _between(s.big_m, 0.10, 0.35, 0.02) * low * wide * (1 - 0.3 * _lidded(s))


def _tin(s: Shape) -> float:
    low = _between(min(s.short_m, s.height_m), 0.03, 0.22, 0.02)
    wide = 0.5 + 0.5 * ramp(s.girth_m, 0.06, 0.09)
    form = _round(s) * _between(s.big_m, 0.07, 0.35, 0.02) * low * wide
    lid = 1.0 if s.lying else 0.6 + 0.4 * _lidded(s)  # lying, its lid may face away
    return form * (0.25 + 0.75 * _closed(s)) * lid


def _can(s: Shape) -> float:
    size = _between(s.girth_m, 0.045, 0.11, 0.015) * _between(s.length_m, 0.06, 0.24, 0.02)
    slim = ramp(s.length_m / max(s.girth_m, 0.01), 0.7, 1.0)
    return _round(s) * size * slim * (0.4 + 0.6 * _closed(s))


def _jar(s: Shape) -> float:
    size = _between(s.girth_m, 0.05, 0.16, 0.02) * _between(s.length_m, 0.06, 0.28, 0.02)
    return _round(s) * size * ramp(s.length_m / max(s.girth_m, 0.01), 0.6, 0.9)


def _disc(s: Shape) -> float:
    return ramp(s.disc, 0.66, 0.78) * (1.0 - ramp(s.top_m, 0.035, 0.055))


def _saucer(s: Shape) -> float:
    return _disc(s) * _between(s.long_m, 0.07, 0.21, 0.02)


def _plate(s: Shape) -> float:
    return _disc(s) * _between(s.long_m, 0.10, 0.36, 0.02)


def _tray(s: Shape) -> float:
    return _between(s.long_m, 0.15, 0.55, 0.03) * (1.0 - ramp(s.top_m, 0.035, 0.06))


def _dish(s: Shape) -> float:
    return max(_plate(s), _bowl(s), 0.7 * _tray(s))


def _container(s: Shape) -> float:
    return max(_tub(s), _tin(s), _jar(s), _bowl(s), _can(s), _round(s) * 0.8 * _open(s))


def _socket(s: Shape) -> float:
    size = _between(s.long_m, 0.04, 0.25, 0.02) * (1.0 - ramp(s.top_m, 0.12, 0.18))
    return ramp(s.hollow, 0.015, 0.05) * size * (0.4 + 0.6 * s.boxy)


def _cylinder(s: Shape) -> float:
    return _round(s) * _between(s.big_m, 0.03, 0.40, 0.03) * (0.5 + 0.5 * _closed(s))


def _ball(s: Shape) -> float:
    size = _between(s.long_m, 0.02, 0.30, 0.02) * _closed(s)
    tall = _between(s.height_m / max(s.long_m, 0.01), 0.6, 1.15, 0.15)
    return (
        _round(s) * size * tall * (1.0 - ramp(s.flat, 0.4, 0.55)) * (1.0 - ramp(s.lid, 0.1, 0.25))
    )


def _tree(s: Shape) -> float:
    """A stem, perhaps with a peg that makes the longer side longer; its foot is a thing apart."""
    slim = 1.0 - ramp(s.short_m / max(s.top_m, 0.01), 0.30, 0.45)
    tall = _between(s.height_m, 0.08, 0.45, 0.03)  # a rod that was cut off is not
    return tall * slim * (1.0 - ramp(s.lid, 0.15, 0.3))


def _drawer(s: Shape) -> float:
    """What holds a drawer: a closed box of some size; its front is looked for afterwards."""
    size = _between(s.long_m, 0.13, 0.60, 0.03) * _between(s.height_m, 0.06, 0.60, 0.02)
    return s.boxy * size * _closed(s)


def _plant(s: Shape) -> float:
    return s.crown * _between(s.top_m, 0.07, 0.45, 0.02)


def _watering_can(s: Shape) -> float:
    body = _between(s.height_m, 0.05, 0.35, 0.02) * _between(s.long_m, 0.10, 0.50, 0.02)
    return body * ramp(s.spout_m, 0.02, 0.035) * (1.0 - s.crown)


def _anything(_: Shape) -> float:
    return 1.0


FITS: dict[str, Callable[[Shape], float]] = {
    "": _anything,
    "box": _box,
    "block": _block,
    "cube": _cube,
    "book": _book,
    "carton": _carton,
    "bottle": _bottle,
    "cup": _cup,
    "bowl": _bowl,
    "tub": _tub,
    "tin": _tin,
    "can": _can,
    "jar": _jar,
    "saucer": _saucer,
    "plate": _plate,
    "tray": _tray,
    "dish": _dish,
    "container": _container,
    "socket": _socket,
    "cylinder": _cylinder,
    "ball": _ball,
    "tree": _tree,
    "drawer": _drawer,
    "plant": _plant,
    "watering can": _watering_can,
}


def form_fit(form: str, s: Shape) -> float:
    """How well a shape is called by a form, 0..1."""
    upright_axis = 0.0 if s.lying else ramp(s.length_m / max(s.long_m, 0.01), 0.6, 1.0)
    return {
        "round": _round(s),
        "angular": s.boxy,
        "open": _open(s),
        "closed": _closed(s),
        "standing": upright_axis,
        "lying": 1.0 - upright_axis,
    }[form]


def fit(noun: str, shape: Shape) -> float:
    """How well a shape fits a kind, 0..1; every kind of the vocabulary has one."""
    return FITS[noun](shape)
