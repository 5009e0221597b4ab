"""What the judge made of labelled candidates and sets: counts, shares and their uncertainty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from novaflow_bench.core.sets import NONE_VALID, WRONG_MAJORITY, CandidateSet, Labelled
from novaflow_bench.core.wrongs import SEVERITIES
from novaflow_bringup.core.statistics import wilson
from novaflow_flowgen.core.critic import Judgement
from novaflow_flowgen.core.judging import Selection

Decide = Callable[[Sequence[Judgement]], Selection]
Values = dict[str, Any]


def of_sets(sets: Iterable[CandidateSet], decide: Decide) -> Values:
    """Shares over sets: the judge's, and those of chance and of the first candidate."""
    hits: list[bool] = []
    majority_hits: list[bool] = []
    refused: list[bool] = []
    detected: list[bool] = []
    first: list[bool] = []
    chance: list[float] = []
    for item in sets:
        chosen = _chosen(item, decide)
        if item.form == NONE_VALID:
            detected.append(chosen is None)
            continue
        hit = chosen is not None and chosen.valid
        hits.append(hit)
        refused.append(chosen is None)
        first.append(item.members[0].valid)
        chance.append(sum(m.valid for m in item.members) / len(item.members))
        if item.form == WRONG_MAJORITY:
            majority_hits.append(hit)
    return {
        "top1_valid": share(hits),
        "top1_valid_wrong_majority": share(majority_hits),
        "refused_with_valid": share(refused),
        "none_detected": share(detected),
        "first_candidate": share(first),
        "random_choice": round(sum(chance) / len(chance), 4) if chance else None,
    }


def share(outcomes: Sequence[bool]) -> Values:
    """Share of True with Wilson's interval; `share` is None without any outcome."""
    low, high = wilson(sum(outcomes), len(outcomes))
    return {
        "share": round(sum(outcomes) / len(outcomes), 4) if outcomes else None,
        "of": len(outcomes),
        "interval_95": [round(low, 4), round(high, 4)],
    }


def of_kinds(videos: Iterable[Labelled]) -> dict[str, Values]:
    """Per kind: how many were rejected, by which gates first; "valid" for those with no fault."""
    groups: dict[str, list[Labelled]] = {}
    for item in videos:
        groups.setdefault(item.kind or "valid", []).append(item)
    return {kind: _of_kind(kind, mine) for kind, mine in sorted(groups.items())}


def _of_kind(kind: str, videos: Sequence[Labelled]) -> Values:
    rejected = [not v.score.valid for v in videos]
    out: Values = {
        "videos": len(videos),
        "rejected": sum(rejected),
        "recall": share(rejected)["share"],
        "gates": dict(Counter(g for v in videos if (g := first_gate(v))).most_common()),
    }
    if kind == "valid":
        out["recall"] = share([not r for r in rejected])["share"]  # of the valid ones
        return out
    out["held_out"] = videos[0].held_out
    for severity in SEVERITIES:
        mine = [not v.score.valid for v in videos if v.severity == severity]
        if mine:
            out[severity] = f"{sum(mine)} of {len(mine)}"
    return out


def of_gates(videos: Sequence[Labelled]) -> dict[str, Values]:
    """Per gate that stopped a video first: precision, and recall over all spoiled videos."""
    spoiled = sum(not v.valid for v in videos)
    stopped = Counter(g for v in videos if (g := first_gate(v)))
    right = Counter(g for v in videos if not v.valid and (g := first_gate(v)))
    return {
        gate: {
            "stopped": count,
            "precision": round(right[gate] / count, 4),
            "recall": round(right[gate] / spoiled, 4) if spoiled else None,
        }
        for gate, count in stopped.most_common()
    }


def first_gate(video: Labelled) -> str:
    """Name of the gate that a video failed first; "" where it passed all."""
    return next((gate.name for gate in video.score.gates if not gate.passed), "")


def table(values: Values) -> str:
    """What a reader wants to see of `of_kinds` and `of_sets`, as they stand in the JSON."""
    lines = [f"{'kind':<17}{'videos':>7}{'rejected':>9}  {'near':<10}{'far':<10}first gates"]
    for kind, k in values["kinds"].items():
        gates = ", ".join(f"{gate} {count}" for gate, count in list(k["gates"].items())[:4])
        name = f"{kind} *" if k.get("held_out") else kind
        near, far = k.get("near", ""), k.get("far", "")
        lines.append(f"{name:<17}{k['videos']:>7}{k['rejected']:>9}  {near:<10}{far:<10}{gates}")
    lines.append("* held out from tuning")
    for name in ("sim", "real"):
        for title, found in ((name, values[name]), (f"{name}, held out", values["held_out"][name])):
            if found["top1_valid"]["of"] or found["none_detected"]["of"]:
                lines.append(f"{title:<16} " + _told(found))
    return "\n".join(lines)


def _told(found: Values) -> str:
    parts = []
    for name, value in found.items():
        number = value["share"] if isinstance(value, dict) else value
        if number is not None:
            of = f" of {value['of']}" if isinstance(value, dict) else ""
            parts.append(f"{name} {100 * number:.0f} %{of}")
    return ", ".join(parts)


def _chosen(item: CandidateSet, decide: Decide) -> Labelled | None:
    judgements = item.judgements()
    choice = decide(judgements).candidate_id
    names = [j.score.candidate_id for j in judgements]
    return None if choice is None else item.members[names.index(choice)]
