"""Which of the things that were seen does a phrase mean?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.settings import setting
from novaflow_core.task import ObjectPhrase
from novaflow_perception.core import colour, kinds, telling_apart
from novaflow_perception.core.colour import ColourSettings
from novaflow_perception.core.telling_apart import TellingSettings
from novaflow_perception.core.thing import Thing


@dataclass(frozen=True)
class ChoiceSettings:
    """When a thing is accepted for a phrase, and when two are too alike to choose."""

    least_fit: float = setting(0.30, "least fit of a shape to a noun, 0..1")
    alike: float = setting(0.75, "of the best score, above which another thing is as good")
    told_alike: float = setting(0.60, "the same where a place, size or form tells things apart")
    frame_px: float = setting(2.0, "things this near to the image's border are cut off", unit="px")


@dataclass(frozen=True)
class Choice:
    """A thing and how well it fits its phrase, 0..1."""

    thing: Thing
    score: float


@dataclass(frozen=True)
class Chooser:
    """Chooses among the things of one view.

    Attributes:
        things: What stands there.
        settings: Thresholds of fits.
        telling: Thresholds of places and sizes.
        colours: Thresholds of colour names.
    """

    things: Sequence[Thing]
    settings: ChoiceSettings
    telling: TellingSettings
    colours: ColourSettings

    def choose(
        self, phrase: ObjectPhrase, *, taken: Collection[int] = (), reference: bool = False
    ) -> Choice:
        """Choose the thing that a phrase means.

        Args:
            phrase: What the instruction says.
            taken: Labels that other phrases mean already.
            reference: Whether the phrase names a reference; it decides the error's code.

        Raises:
            PerceptionError: TARGET_NOT_FOUND, REFERENCE_NOT_FOUND or AMBIGUOUS_TARGET, saying what
                was seen instead.
        """
        told_apart = bool(phrase.place or phrase.size or phrase.form or phrase.landmark)
        fitting = self._fitting(phrase, taken, reference)
        if not fitting:
            raise self._not_found(phrase, reference)
        best = max(choice.score for choice in fitting)
        limit = self.settings.told_alike if told_apart else self.settings.alike
        alike = {c.thing.label: c for c in fitting if c.score >= limit * best}
        left = [choice.thing for choice in alike.values()]
        if phrase.landmark is not None:
            # What the landmark is must be there, also where it need not tell anything apart.
            plain = replace(phrase.landmark.phrase, landmark=None)
            among = {thing.label for thing in left} if len(left) == 1 else set()
            mark = self.choose(plain, taken=among, reference=True).thing
            left = [thing for thing in left if thing.label != mark.label] or left
            left = telling_apart.by_landmark(left, phrase.landmark.relation, mark, self.telling)
        for tell, word in (
            (telling_apart.by_form, phrase.form),
            (telling_apart.by_size, phrase.size),
            (telling_apart.by_place, phrase.place),
        ):
            if word and len(left) > 1:
                left = tell(left, word, self.telling)
        if not left:
            raise self._not_found(phrase, reference)
        if len(left) > 1:
            raise self._ambiguous(phrase, left)
        return alike[left[0].label]

    def _fitting(
        self, phrase: ObjectPhrase, taken: Collection[int], reference: bool
    ) -> list[Choice]:
        fitting = []
        for thing in self.things:
            if thing.label in taken or (thing.cut_off and not reference):
                continue
            form = kinds.fit(phrase.noun, thing.shape)
            if phrase.form in ("round", "angular"):
                form = min(form, kinds.form_fit(phrase.form, thing.shape))
            if form < self.settings.least_fit:
                continue
            tone = colour.fit(phrase.colour, thing.colours, self.colours) if phrase.colour else 1.0
            if tone > 0:
                fitting.append(Choice(thing, form * tone))
        return fitting

    def _not_found(self, phrase: ObjectPhrase, reference: bool) -> PerceptionError:
        seen = "; ".join(thing.description(self.colours) for thing in self.things[:6]) or "nothing"
        code = Code.REFERENCE_NOT_FOUND if reference else Code.TARGET_NOT_FOUND
        return PerceptionError(
            code,
            f"nothing in view fits '{phrase.text}'; on the support: {seen}",
            {"phrase": phrase.text, "things": len(self.things)},
        )

    def _ambiguous(self, phrase: ObjectPhrase, alike: Sequence[Thing]) -> PerceptionError:
        by_place = sorted(alike, key=lambda thing: float(thing.centre_px[0]))
        names = "; ".join(
            f"({chr(97 + i)}) {thing.description(self.colours)} at pixel "
            f"({thing.centre_px[0]:.0f}, {thing.centre_px[1]:.0f})"
            for i, thing in enumerate(by_place[:6])
        )
        return PerceptionError(
            Code.AMBIGUOUS_TARGET,
            f"'{phrase.text}' fits {len(alike)} things, from left to right: {names}; "
            "say its colour, size or place",
            {"phrase": phrase.text, "choices": [thing.label for thing in by_place]},
        )
