"""The words that instructions are made of, and what they stand for.

Tables only; `instruction` gives them their grammar. Multi-word entries are written with spaces and
matched longest first, on words in lower case.
"""

from __future__ import annotations

from novaflow_core.task import Direction, Motion, Relation


def _words(text: str) -> list[str]:
    return text.split()


def _index(table: dict[str, str]) -> dict[str, str]:
    return {word: kind for kind, words in table.items() for word in _words(words)}


# Canonical kind of every noun. What a kind looks like is in `kinds`.
NOUNS = _index(
    {
        "box": "box boxes package packet parcel case crate",
        "carton": "carton tetrapak",
        "block": "block brick cuboid peg",
        "cube": "cube die",
        "book": "book",
        "cup": "cup mug teacup beaker tumbler goblet glass",
        "bowl": "bowl basin",
        "tub": "tub pot container bucket pail",
        "tin": "tin canister",
        "can": "can",
        "jar": "jar",
        "bottle": "bottle flask jug pitcher",
        "saucer": "saucer coaster",
        "plate": "plate dish platter",
        "tray": "tray",
        "socket": "socket slot holder fixture receptacle hole cavity",
        "cylinder": "cylinder tube roll",
        "ball": "ball sphere",
    }
)

# Nouns that name no kind: the colour, size or place must tell.
ANYTHING = frozenset(_words("object thing item one"))

# Nouns for what everything stands on.
SUPPORTS = frozenset(
    _words("table tabletop desk floor ground surface counter carpet worktop bench")
)

PRONOUNS = frozenset(_words("it them that this"))

COLOURS = _index(
    {
        "red": "red crimson scarlet reddish",
        "orange": "orange amber",
        "yellow": "yellow golden yellowish lemon",
        "green": "green olive lime greenish",
        "blue": "blue navy azure turquoise teal cyan bluish",
        "purple": "purple violet lilac lavender",
        "pink": "pink magenta rose",
        "brown": "brown tan chocolate brownish",
        "white": "white whitish cream ivory",
        "grey": "grey gray silver greyish grayish silvery",
        "black": "black",
    }
)

SIZES = _index(
    {
        "small": "small little tiny smaller smallest short shorter shortest",
        "large": "large big huge larger bigger largest biggest tall taller tallest",
    }
)

# Places as adjectives in front of a noun.
PLACE_ADJECTIVES = {
    "left": "left",
    "lefthand": "left",
    "leftmost": "left",
    "right": "right",
    "righthand": "right",
    "rightmost": "right",
    "front": "front",
    "foremost": "front",
    "back": "back",
    "rear": "back",
    "rearmost": "back",
    "nearest": "nearest",
    "closest": "nearest",
    "nearer": "nearest",
    "closer": "nearest",
    "near": "nearest",
    "farthest": "farthest",
    "furthest": "farthest",
    "farther": "farthest",
    "further": "farthest",
    "far": "farthest",
}

# Words in front of a noun that a depth camera cannot check: contents, materials, patterns, state.
# They are accepted and not used; the noun, colour, size and place decide.
UNCHECKED = frozenset(
    _words("""
        milk juice water coffee tea soup cereal muesli cookie biscuit sugar salt flour rice
        pasta soda cola beer wine detergent bleach shampoo soap cake candy chocolate food drinks
        drinking drink cooking tool gift shoe storage paper plastic metal metallic wooden wood
        cardboard ceramic porcelain steel aluminium aluminum rubber round square rectangular
        cylindrical flat upright standing lying open closed empty full plain striped spotted
        dotted patterned printed shiny light dark bright pale deep other lone single
    """)
)

DETERMINERS = frozenset(_words("the a an my your our his her its their this that these some any"))

# Said for manners or to begin a sentence.
FILLERS = frozenset(
    _words("""
        please kindly now hey hi hello ok okay robot can could would will you i we want need
        like to lets let us just try have go ahead and then next first finally should must so
        thanks thank d ll
    """)
)

ADVERBS = frozenset(
    _words("""
        please now carefully gently slowly quickly softly slightly somewhat just directly
        straight exactly back down again thanks over right there here firmly steadily smoothly
        safely immediately
    """)
)

# Verbs by motion. "pick"-like verbs take hold of the target; with a goal they move it there.
VERBS: dict[str, Motion] = {
    **dict.fromkeys(
        _words("""
        put place set move bring insert stack lay position drop relocate transfer shift carry
        fit plug stick slot rest deposit load leave return send transport seat nest pass
    """),
        Motion.MOVE,
    ),
    **dict.fromkeys(_words("lift raise hoist elevate pick grab grasp take get fetch"), Motion.LIFT),
    **dict.fromkeys(_words("push slide nudge shove scoot"), Motion.PUSH),
    **dict.fromkeys(_words("pull drag draw haul tug"), Motion.PULL),
    **dict.fromkeys(_words("tilt tip lean pour empty"), Motion.TILT),
    **dict.fromkeys(_words("turn rotate spin twist swivel"), Motion.TURN),
    **dict.fromkeys(_words("straighten upright"), Motion.STRAIGHTEN),
    "flip": Motion.TILT,
    "stand": Motion.STRAIGHTEN,
}

# Particles that belong to a verb, wherever they stand in the clause.
PARTICLES = {
    "pick": "up",
    "lift": "up",
    "raise": "up",
    "stand": "up",
    "straighten": "up out",
    "set": "down",
    "put": "down",
    "place": "down",
    "lay": "down",
    "tip": "over",
    "turn": "around over",
    "flip": "over",
    "rotate": "around",
    "spin": "around",
}

UPRIGHT = frozenset({"upright", "straight"})  # "set the bottle upright"
UPSIDE_DOWN = "upside down"

_VIEWER = ("the camera", "me", "us", "the viewer", "myself", "ourselves", "you", "yourself")

DIRECTIONS: dict[str, Direction] = {
    **dict.fromkeys(
        [
            "to the left",
            "to the left side",
            "to the left hand side",
            "to my left",
            "to your left",
            "towards the left",
            "toward the left",
            "left",
            "leftward",
            "leftwards",
        ],
        Direction.LEFT,
    ),
    **dict.fromkeys(
        [
            "to the right",
            "to the right side",
            "to the right hand side",
            "to my right",
            "to your right",
            "towards the right",
            "toward the right",
            "right",
            "rightward",
            "rightwards",
        ],
        Direction.RIGHT,
    ),
    **{
        f"{word} {viewer}": Direction.TOWARD_CAMERA
        for word in (
            "toward",
            "towards",
            "closer to",
            "nearer to",
            "closer toward",
            "closer towards",
            "to",
            "near",
            "in the direction of",
        )
        for viewer in _VIEWER
    },
    **dict.fromkeys(
        ["closer", "nearer", "to the front", "towards the front", "toward the front"],
        Direction.TOWARD_CAMERA,
    ),
    **{
        f"{word} {viewer}": Direction.AWAY_FROM_CAMERA
        for word in ("away from", "farther from", "further from", "far from", "further away from")
        for viewer in _VIEWER
    },
    **dict.fromkeys(
        [
            "away",
            "farther away",
            "further away",
            "farther",
            "further",
            "to the back",
            "towards the back",
            "toward the back",
            "to the rear",
            "further back",
            "farther back",
        ],
        Direction.AWAY_FROM_CAMERA,
    ),
    **dict.fromkeys(
        ["up", "upward", "upwards", "into the air", "in the air", "up into the air"], Direction.UP
    ),
    **dict.fromkeys(["down", "downward", "downwards"], Direction.DOWN),
}

# Which way these point depends on the verb: pulling forward is toward the viewer, pushing forward
# away.
FORWARD = ("forward", "forwards", "ahead")
BACKWARD = ("back", "backward", "backwards")

PLACES: dict[str, str] = {
    **{f"{p} the {s}{t}": s for p in ("on", "at", "to", "in") for s in ("left", "right")
       for t in (" side", " hand side", " hand")},
    **{f"on the {far} {s}": s for far in ("far", "very") for s in ("left", "right")},
    **{f"{p} the {s}": s for p in ("on", "at") for s in ("left", "right")},
    **{f"on {o} {s}": s for o in ("my", "your") for s in ("left", "right")},
    **dict.fromkeys(["in front", "in the front", "at the front", "up front"], "front"),
    **dict.fromkeys(["in the back", "at the back", "in the rear", "behind", "in back"], "back"),
    **{f"{w} to {v}": "nearest" for w in ("nearest", "closest") for v in _VIEWER},
    **{f"{w} from {v}": "farthest" for w in ("farthest", "furthest", "farthest away",
                                             "furthest away") for v in _VIEWER},
}  # fmt: skip

# A place that is the only thing said of where to go.
PLACE_AS_DIRECTION = {
    "left": Direction.LEFT,
    "right": Direction.RIGHT,
    "front": Direction.TOWARD_CAMERA,
    "back": Direction.AWAY_FROM_CAMERA,
}

RELATIONS: dict[str, Relation] = {
    **dict.fromkeys(
        ["on", "onto", "on to", "upon", "atop", "on top of", "onto the top of", "on the top of"],
        Relation.ON,
    ),
    **dict.fromkeys(
        ["in", "into", "in to", "inside", "inside of", "within", "through"], Relation.IN
    ),
    **dict.fromkeys(
        """next to|beside|besides|near|near to|close to|closer to|by|alongside|adjacent to|
        at the side of|by the side of|toward|towards|to|against|up to|beside of""".replace(
            "\n", ""
        ).split("|"),
        Relation.NEXT_TO,
    ),
    **dict.fromkeys(["over", "above", "over the top of"], Relation.OVER),
    **{
        f"{p}{s} of": r
        for s, r in (("left", Relation.LEFT_OF), ("right", Relation.RIGHT_OF))
        for p in ("", "to the ", "on the ", "at the ")
    },
    **{
        f"{p} {s} side of": r
        for s, r in (("left", Relation.LEFT_OF), ("right", Relation.RIGHT_OF))
        for p in ("to the", "on the", "at the")
    },
    **dict.fromkeys(["in front of", "before", "ahead of"], Relation.IN_FRONT_OF),
    **dict.fromkeys(["behind", "in back of", "at the back of", "in the back of"], Relation.BEHIND),
}
RELATIONS = {" ".join(key.split()): value for key, value in RELATIONS.items()}

# Where the target is taken from; it says nothing of where it goes.
SOURCES = (
    "off of",
    "off",
    "from",
    "out of",
    "from the top of",
    "away from",
    "from inside",
    "from on",
)

UNSUPPORTED_RELATIONS = ("under", "below", "beneath", "underneath", "between", "among", "around")

# Between a noun and its place: "the cup that is on the left".
LINKS = (
    "that is",
    "that s",
    "which is",
    "that stands",
    "which stands",
    "standing",
    "located",
    "sitting",
    "placed",
)

# Where to go, said so that it cannot mean where the object is; "lift the cup onto ..." moves, "lift
# the cup on ..." names.
GOAL_WORDS = frozenset(
    {"onto", "on to", "into", "in to", "over", "above", "to", "toward", "towards", "up to"}
)

# Words of amount that carry no number.
AMOUNTS = ("a little bit", "a little", "a bit", "a lot", "a touch", "a short distance", "some")

NUMBERS = {
    word: float(value)
    for value, word in enumerate(
        _words("""
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
        fifteen sixteen seventeen eighteen nineteen twenty
    """)
    )
} | {"thirty": 30.0, "forty": 40.0, "fortyfive": 45.0, "sixty": 60.0, "ninety": 90.0, "half": 0.5}

LENGTH_UNITS_M = {
    **dict.fromkeys(_words("mm millimetre millimetres millimeter millimeters"), 0.001),
    **dict.fromkeys(_words("cm centimetre centimetres centimeter centimeters"), 0.01),
    **dict.fromkeys(_words("m metre metres meter meters"), 1.0),
    **dict.fromkeys(_words("inch inches"), 0.0254),
    **dict.fromkeys(_words("foot feet"), 0.3048),
}

ANGLE_UNITS_DEG = {
    **dict.fromkeys(_words("degree degrees deg"), 1.0),
    **dict.fromkeys(_words("radian radians rad"), 57.29577951308232),
    **dict.fromkeys(_words("turn turns revolution revolutions"), 360.0),
}

FRACTIONS_OF_TURN = {"quarter": 90.0, "half": 180.0, "full": 360.0, "whole": 360.0}

CLOCKWISE = ("clockwise",)
COUNTERCLOCKWISE = ("counterclockwise", "anticlockwise", "counter clockwise", "anti clockwise")
