"""The words around the objects: motions, directions, relations, amounts, manners.

Tables only; `clause` gives them their grammar. Multi-word entries are written with spaces and
matched longest first, on words in lower case. The words for objects are in `object_words`.
"""

from __future__ import annotations

from novaflow_core.task import Direction, Motion, Relation


def _words(text: str) -> list[str]:
    return text.split()


# Said for manners or to begin a sentence.
FILLERS = frozenset(
    _words("""
        please kindly now hey hi hello ok okay well alright robot can could would will may might
        you i we want need wish like love to lets let us just try have go ahead and then next first
        finally should must so thanks thank d ll mind be help me if possible make sure that ready
        start by
    """)
)

ADVERBS = frozenset(
    _words("""
        please kindly now carefully gently slowly quickly softly slightly somewhat just directly
        straight exactly back down again thanks over right there here firmly steadily smoothly
        safely immediately simply very really quite rather properly completely fully neatly thank
        you quick then too ok okay robot
    """)
)

# Verbs by motion. "pick"-like verbs take hold of the target; with a goal they move it there.
VERBS: dict[str, Motion] = {
    **dict.fromkeys(
        _words("""
        put place set move bring insert stack lay position drop relocate transfer shift carry
        fit plug stick slot rest deposit load leave return send transport seat nest pass
        reposition displace pop plop plonk park tuck dump dunk deliver give hand lower arrange sit
        balance squeeze sink hang suspend
    """),
        Motion.MOVE,
    ),
    **dict.fromkeys(
        _words("""
        lift raise hoist elevate pick grab grasp take get fetch heave remove retrieve seize
        collect unstack hold
    """),
        Motion.LIFT,
    ),
    **dict.fromkeys(
        _words("push slide nudge shove scoot scooch budge roll poke press shuffle"), Motion.PUSH
    ),
    **dict.fromkeys(_words("pull drag draw haul tug tow yank"), Motion.PULL),
    **dict.fromkeys(_words("tilt tip lean pour empty knock topple incline"), Motion.TILT),
    **dict.fromkeys(_words("turn rotate spin twist swivel pivot revolve"), Motion.TURN),
    **dict.fromkeys(_words("straighten upright"), Motion.STRAIGHTEN),
    **dict.fromkeys(_words("open"), Motion.OPEN),
    "flip": Motion.TILT,
    "water": Motion.TILT,
    "overturn": Motion.TILT,
    "invert": Motion.TILT,
    "stand": Motion.STRAIGHTEN,
}

# Verbs of "the block goes into the socket"; the object comes first.
COPULAS = frozenset(
    _words("""
        goes go going belongs belong is are be been being should shall must has have needs need
        gets get ends end up will can ought wants comes come stands stand sits sit lies fits
    """)
)

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
    "knock": "over down",
    "topple": "over",
    "push": "over",
    "hold": "up",
    "heave": "up",
    "hoist": "up",
    "grab": "up",
    "take": "up",
    "pull": "up out open",
    "slide": "out open",
    "draw": "out open",
    "open": "up",
    "bring": "up down",
    "move": "up down",
    "lower": "down",
    "turn": "around over",
    "flip": "over",
    "rotate": "around",
    "spin": "around",
}

IMPLIED_PARTICLES = {"lower": "down", "sink": "down"}

HANGS = frozenset({"hang", "suspend"})  # "on" means by its handle then
WATERS = frozenset({"water"})  # names what gets the water; the can is implied
BY_MEANS = frozenset({"with", "using"})
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
            "close to",
            "in the direction of",
            "in front of",
            "back to",
            "over to",
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

# Of what is lifted, tilted or turned, these name a place: "lift the cup near me".
NEAR_VIEWER = frozenset(
    f"{w} {viewer}"
    for w in ("near", "close to", "closer to", "nearer to", "in front of")
    for viewer in _VIEWER
)

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
        [
            "in",
            "into",
            "in to",
            "inside",
            "inside of",
            "within",
            "through",
            "in the middle of",
            "in the inside of",
        ],
        Relation.IN,
    ),
    **dict.fromkeys(
        [
            "next to",
            "beside",
            "besides",
            "near",
            "near to",
            "close to",
            "closer to",
            "by",
            "alongside",
            "adjacent to",
            "at the side of",
            "by the side of",
            "toward",
            "towards",
            "to",
            "against",
            "up to",
            "beside of",
            "close by",
            "nearer to",
            "nearest to",
            "closest to",
            "adjoining",
        ],
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

SOURCES_INSIDE = frozenset({"out of", "from inside"})
SOURCES_AWAY = frozenset({"away from"})  # where it goes, and nothing of where it stands

# Known as a place, "the box under the bowl", and not as a goal.
UNDER = ("under", "below", "beneath", "underneath")
UNSUPPORTED_RELATIONS = ("between", "among", "around", "across")

# Said of the robot, not of the object.
IGNORED = (
    *(f"{w} {o} {t}" for w in ("with", "using") for o in ("the", "your", "a")
      for t in ("gripper", "hand", "arm", "fingers", "robot")),
    "for me", "for us", "if you can", "if possible", "if you could", "would you", "will you",
    "could you", "can you", "as well", "at once", "all the way", "in place", "on the spot",
    "thank you", "for a moment", "right now", "right away", "in one go", "by its handle",
    "by the handle",
)  # fmt: skip

# Between a noun and its place: "the cup that is on the left".
LINKS = (
    "that is",
    "that s",
    "which is",
    "that stands",
    "which stands",
    "that sits",
    "which sits",
    "that lies",
    "which lies",
    "standing",
    "located",
    "sitting",
    "placed",
    "lying",
    "resting",
    "positioned",
    "found",
    "seen",
)

# Where to go, said so that it cannot mean where the object is; "lift the cup onto ..." moves, "lift
# the cup on ..." names.
GOAL_WORDS = frozenset(
    {
        "onto",
        "on to",
        "into",
        "in to",
        "over",
        "above",
        "to",
        "toward",
        "towards",
        "up to",
        "onto the top of",
        "over the top of",
    }
)

# Words of amount that carry no number.
AMOUNTS = (
    "a little bit", "a little", "a bit", "a lot", "a touch", "a short distance", "some", "a tad",
    "a bit more", "a little more", "a short way", "by a bit", "by a little", "by a little bit",
    "a few", "somewhat more", "a good bit", "a small amount",
)  # fmt: skip

NUMBERS = (
    {
        word: float(value)
        for value, word in enumerate(
            _words("""
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
        fifteen sixteen seventeen eighteen nineteen twenty
    """)
        )
    }
    | {"couple": 2.0, "few": 3.0}
    | {"thirty": 30.0, "forty": 40.0, "fortyfive": 45.0, "sixty": 60.0, "ninety": 90.0, "half": 0.5}
)

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

CLOCKWISE = ("clockwise", "cw")
COUNTERCLOCKWISE = (
    "counterclockwise", "anticlockwise", "counter clockwise", "anti clockwise", "ccw",
)  # fmt: skip
