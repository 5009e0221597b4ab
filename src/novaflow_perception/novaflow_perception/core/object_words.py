"""The words that name objects: kinds, colours, sizes, forms and places.

Tables only; `object_phrase` gives them their grammar. All in lower case.
"""

from __future__ import annotations


def _words(text: str) -> list[str]:
    return text.split()


def _index(table: dict[str, str]) -> dict[str, str]:
    return {word: kind for kind, words in table.items() for word in _words(words)}


# Canonical kind of every noun. What a kind looks like is in `kinds`.
NOUNS = _index(
    {
        "box": "box boxes package packet parcel pack packaging case crate cardboard",
        "carton": "carton tetrapak",
        "block": "block brick cuboid peg",
        "cube": "cube die dice",
        "book": "book",
        "cup": "cup mug teacup beaker tumbler goblet glass",
        "bowl": "bowl basin",
        "tub": "tub pot bucket pail",
        "container": "container vessel receptacle",
        "tin": "tin canister",
        "can": "can",
        "jar": "jar vase",
        "bottle": "bottle flask jug pitcher",
        "saucer": "saucer coaster",
        "plate": "plate platter",
        "dish": "dish",
        "tray": "tray",
        "socket": "socket slot holder fixture hole cavity recess",
        "cylinder": "cylinder tube roll",
        "ball": "ball sphere",
        "tree": "tree rack hanger hook",
        "drawer": "drawer",
        "plant": "plant flower houseplant flowerpot shrub seedling",
        "watering can": "wateringcan",
    }
)

# Two words that name another kind than the second one alone.
COMPOUNDS = {
    **{("watering", word): "watering can" for word in ("can", "pot", "tin", "jug")},
    **{(first, "pot"): "plant" for first in ("flower", "plant")},
}
COMPOUND_FIRST = frozenset(first for first, _ in COMPOUNDS)

# Kinds that are a part of something else and move on a joint of it.
MOVING_PARTS = frozenset({"drawer"})

# Nouns that name no kind: the colour, size or place must tell.
ANYTHING = frozenset(_words("object thing item one stuff"))

# Nouns for what everything stands on.
SUPPORTS = frozenset(
    _words("table tabletop desk floor ground surface counter countertop carpet worktop bench")
)

# Nouns for several things together; nothing can be checked of them.
GROUPS = frozenset(_words("stack pile heap tower group bunch"))

PRONOUNS = frozenset(_words("it them that this"))

COLOURS = _index(
    {
        "red": "red crimson scarlet reddish maroon burgundy ruby",
        "orange": "orange amber",
        "yellow": "yellow golden yellowish lemon mustard gold",
        "green": "green olive lime greenish emerald",
        "blue": "blue navy azure bluish indigo",
        "turquoise": "turquoise teal cyan aqua",
        "purple": "purple violet lilac lavender",
        "pink": "pink magenta rose",
        "brown": "brown tan chocolate brownish bronze",
        "beige": "beige cream creamy ivory sand",
        "white": "white whitish",
        "grey": "grey gray silver greyish grayish silvery",
        "black": "black blackish",
    }
)

SIZES = _index(
    {
        "small": "small little tiny mini smaller smallest littlest tiniest compact",
        "large": "large big huge larger bigger largest biggest great giant bulky",
        "tall": "tall taller tallest high higher highest",
        "short": "short shorter shortest low lower lowest flat flatter flattest shallow",
        "long": "long longer longest",
        "wide": "wide wider widest broad broader broadest",
        "thin": "thin thinner thinnest narrow narrower narrowest slim slimmer slimmest slender",
        "thick": "thick thicker thickest fat fatter fattest",
    }
)

# Forms that are checked, in front of a noun.
FORMS = _index(
    {
        "round": "round circular cylindrical rounded",
        "angular": "rectangular square boxy angular cuboid cubic",
        "open": "open",
        "closed": "closed lidded covered",
        "standing": "upright standing vertical",
        "lying": "lying horizontal fallen sideways",
    }
)

# Places as adjectives in front of a noun.
PLACE_ADJECTIVES = _index(
    {
        "left": "left lefthand leftmost",
        "right": "right righthand rightmost",
        "front": "front foremost frontmost",
        "back": "back rear rearmost hindmost backmost",
        "nearest": "nearest closest nearer closer near close nearby",
        "farthest": "farthest furthest farther further far",
        "middle": "middle middlemost central centre center",
        "top": "top upper topmost uppermost",
        "bottom": "bottom bottommost lowermost undermost",
    }
)

ORDINALS = {
    word: value
    for value, text in enumerate(
        ["first 1st", "second 2nd", "third 3rd", "fourth 4th", "fifth 5th", "sixth 6th"], start=1
    )
    for word in _words(text)
}

# Words in front of a noun that a depth camera cannot check: contents, materials, patterns, state.
# They are accepted and not used; the noun, colour, size, form and place decide.
UNCHECKED = frozenset(
    _words("""
        milk juice water coffee tea soup cereal cereals muesli cornflakes cookie cookies biscuit
        biscuits sugar salt flour rice pasta soda cola beer wine detergent bleach shampoo soap cake
        candy chocolate food drinks drinking drink cooking kitchen household cleaning laundry
        tool gift shoe potted house garden thirsty dry storage breakfast
        paper plastic metal metallic wooden wood ceramic porcelain steel aluminium aluminum
        rubber glassy
        empty full plain striped spotted dotted patterned printed shiny matt matte glossy floral
        colourful colorful multicoloured multicolored checked flowery
        light dark bright pale deep pastel vivid
        coloured colored colour color
        other lone single same old new nice lovely pretty ugly whole entire only
        upturned overturned inverted
    """)
)

# What a thing may be said to have: "the mug with the handle".
PARTS = frozenset(
    _words("""
        handle lid cap label logo dots stripes pattern flowers picture print text writing rim
        spout neck top edge cover
    """)
)

DETERMINERS = frozenset(_words("the a an my your our his her its their this that these some any"))

_VIEWER = ("the camera", "me", "us", "the viewer", "myself", "ourselves", "you", "yourself")

# Places that follow a noun, as whole phrases.
PLACES: dict[str, str] = {
    **{f"{p} the {s}{t}": s for p in ("on", "at", "to", "in") for s in ("left", "right")
       for t in (" side", " hand side", " hand", " end")},
    **{f"on the {far} {s}": s for far in ("far", "very") for s in ("left", "right")},
    **{f"{p} the {s}": s for p in ("on", "at") for s in ("left", "right")},
    **{f"on {o} {s}": s for o in ("my", "your") for s in ("left", "right")},
    **dict.fromkeys(["in front", "in the front", "at the front", "up front"], "front"),
    **dict.fromkeys(
        ["in the back", "at the back", "in the rear", "at the rear", "behind", "in back",
         "in the background"], "back"),
    **dict.fromkeys(
        [f"{p} the {m}" for p in ("in", "at") for m in ("middle", "centre", "center")], "middle"),
    **dict.fromkeys(["on top", "on the top", "at the top"], "top"),
    **dict.fromkeys(
        ["at the bottom", "on the bottom", "underneath", "below", "beneath"], "bottom"),
    **{f"{w} to {v}": "nearest" for w in ("nearest", "closest") for v in _VIEWER},
    **{f"{w} {v}": "nearest" for w in ("nearest", "closest") for v in _VIEWER},
    **{f"{w} from {v}": "farthest" for w in (
        "farthest", "furthest", "farthest away", "furthest away", "far away", "further away",
        "farther away") for v in _VIEWER},
    **{w: "farthest" for w in ("farthest away", "furthest away")},
    **{f"in the {depth} {side}{corner}": f"{depth} {side}"
       for depth in ("front", "back") for side in ("left", "right")
       for corner in (" corner", "")},
    **{f"in the {depth} {side} corner": f"{deep} {side}"
       for depth, deep in (("near", "front"), ("far", "back"), ("rear", "back"), ("lower", "front"),
                           ("upper", "back"), ("bottom", "front"), ("top", "back"))
       for side in ("left", "right")},
    **{f"in the {s} corner": s for s in ("left", "right")},
    "in the corner": "corner",
}  # fmt: skip

# From where an ordinal counts: "the second cup from the left".
COUNTED_FROM: dict[str, str] = {
    **{f"from {the}{s}": s for the in ("the ", "") for s in ("left", "right", "front", "back")},
    **{f"from the {s} {t}": s for s in ("left", "right") for t in ("side", "hand side", "end")},
    **dict.fromkeys(["from the top", "from above"], "top"),
    **dict.fromkeys(["from the bottom", "from below"], "bottom"),
}
