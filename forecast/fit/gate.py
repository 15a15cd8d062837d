"""What sampling must reach before a fit may be used: the one table of these bars, for fit, verdict and report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forecast.checks import FAIL, PASS, REVIEW, Check
from forecast.words import Message, Text, filed, message, together

EVIDENCE_LEARNT = 0.5  # of an elasticity by the data: with less it is called assumed, wherever that is said

Diagnosis = Mapping[str, Any]  # of one part, as `fit.sampling.diagnose` tells it

LEAST_TOLD = 5  # divergences of a part below which they tell nothing of where they sit
SCALES = {
    "tau": message("the difference between channels"),
    "drift": message("the change over time that channels share"),
    "own_drift": message("the change over time of single channels"),
    "noise": message("the scatter from period to period"),
    "season_sd": message("the size of the season"),
    "delay_mean": message("the delay"),
    "delay_cv": message("the spread of delays"),
    "before": message("what entered before the first period"),
    "cv": message("the spread of deals"),
    "return_spread": message("the difference of returns between channels"),
}
ENDS = {
    "low": message("smallest: such cases come too seldom, and its bands may be a little too wide"),
    "high": message("largest: such cases come too seldom, and its bands may be a little too narrow"),
}


@dataclass(frozen=True)
class Bar:
    """One bar: its name, its worst number over some parts, and how that reads beside the bar and in a sentence."""

    name: str
    worst: Callable[[Sequence[Diagnosis]], float]
    passes: Callable[[float], bool]  # what is not a number does not pass
    value: str
    must: Message
    sentence: str
    of: str = ""  # parts made by "chains", by "weights" or by "hazards"; all parts where it is empty
    doubtful: Callable[[float], bool] = lambda _: False  # what passes but is a REVIEW

    def holds_for(self, part: Diagnosis) -> bool:
        """Whether a part is measured by it."""
        made_by = "weights" if "k_hat" in part else "hazards" if "settled" in part else "chains"
        return self.of in ("", made_by)


@dataclass(frozen=True)
class Gate:
    """Of every part: largest R-hat, least effective sample size and E-BFMI, share of draws cut off at full depth.

    Of the hazards of dated leads (`fit.hazards`): how far the last step moved a log hazard.
    Of one made by weights (`fit.weighed`): the largest Pareto k-hat of its weights, and their effective sizes.

    Divergences are draws where the sampler lost its way. One is no failure: a FAIL is their share of a part's draws
    that smaller steps did not bring below `max_divergent`; a few are a REVIEW that says what they may hide.
    """

    max_rhat: float = 1.01
    min_ess: float = 400.0
    max_divergent: float = 0.005
    min_bfmi: float = 0.3  # Betancourt 2016
    max_at_depth: float = 0.01
    max_k: float = 0.7  # Vehtari et al. 2024
    max_step: float = 0.05  # of a log hazard, in the last step to the normal of `fit.hazards`

    def bars(self, asked: int) -> Iterator[Bar]:
        """The bars in their order; asked: number of draws."""
        below, above = "below {x:given}", "above {x:given}"
        yield Bar(
            "R-hat", lambda parts: max(p["max_rhat"] for p in parts), lambda x: x < self.max_rhat,
            "{x:.3f}", message(below, x=self.max_rhat), "R-hat {x:.3f} at {worst}", "chains",
        )  # fmt: skip
        yield Bar(
            "effective sample size", lambda parts: min(min(p["min_ess_bulk"], p["min_ess_tail"]) for p in parts),
            lambda x: x > self.min_ess,
            "{x:whole}", message(above, x=self.min_ess), "effective sample size {x:whole}", "chains",
        )  # fmt: skip
        yield Bar(
            "divergences", lambda parts: max(p["divergences"] / p["draws"] for p in parts),
            lambda x: x < self.max_divergent, "{where}",
            message("below {x:.1%} of the draws", x=self.max_divergent), "{divergences} divergences", "chains",
            lambda x: x > 0.0,
        )  # fmt: skip
        yield Bar(
            "E-BFMI", lambda parts: min(p["min_bfmi"] for p in parts), lambda x: x > self.min_bfmi,
            "{x:.2f}", message(above, x=self.min_bfmi), "E-BFMI {x:.2f}", "chains",
        )  # fmt: skip
        yield Bar(
            "cut off at the greatest tree depth", lambda parts: max(p["at_depth"] for p in parts),
            lambda x: x < self.max_at_depth, "{x:.1%}", message("below {x:.0%}", x=self.max_at_depth),
            "{x:.1%} of the draws cut off at the greatest tree depth", "chains",
        )  # fmt: skip
        yield Bar(
            "Pareto k-hat", lambda parts: max(p["k_hat"] for p in parts), lambda x: x < self.max_k,
            "{x:.2f}", message(below, x=self.max_k), "Pareto k-hat {x:.2f}", "weights",
        )  # fmt: skip
        yield Bar(
            "effective size of the weights", lambda parts: min(min(p["ess_scales"], p["ess_effects"]) for p in parts),
            lambda x: x > self.min_ess,
            "{x:whole}", message(above, x=self.min_ess), "effective size of the weights {x:whole}", "weights",
        )  # fmt: skip
        yield Bar(
            "hazards settled", lambda parts: max(p["settled"] for p in parts), lambda x: x < self.max_step,
            "{x:.3f}", message(below, x=self.max_step), "hazards still move by {x:.3f}", "hazards",
        )  # fmt: skip
        yield Bar(
            "number of draws", lambda parts: min(p["draws"] for p in parts), lambda x: x >= asked,
            "{x:whole}", message("at least {x:whole}", x=asked), "{x:whole} draws",
        )  # fmt: skip

    def checks(self, parts: Sequence[Diagnosis]) -> list[Check]:
        """A check for each bar, over all parts; none where nothing was sampled. FAIL where a bar is missed.

        REVIEW where it is not, and yet a doubt is left: the advice says of what.
        """
        hurt = [p for p in parts if p.get("divergences")]
        told = (message("{divergences} of {draws:whole} draws of {part}", **p) for p in hurt)
        where = together(*told, between="; ") if hurt else message("0")
        made = []
        for bar in self.bars(max((p["asked"] for p in parts), default=0)) if parts else ():
            measured = [p for p in parts if bar.holds_for(p)]
            if not measured:
                continue
            x = bar.worst(measured)
            said = message(bar.value, x=x, where=where)
            status = PASS if bar.passes(x) else FAIL
            advice: Text = ""
            if status == PASS and bar.doubtful(x):
                status, advice = REVIEW, together(*map(_hidden, hurt), between="; ")
            made.append(Check(bar.name, status, said, advice, bar.must))
        return made

    def missed(self, part: Diagnosis) -> list[str]:
        """The bars that one part misses, as sentences; empty when it may be used."""
        found = ((bar, bar.worst([part])) for bar in self.bars(part["asked"]) if bar.holds_for(part))
        text = "{part}: {said} (must be {must})"
        return [
            filed(message(text, part=part["part"], said=message(b.sentence, x=x, **part), must=b.must))
            for b, x in found
            if not b.passes(x)
        ]


def _hidden(part: Diagnosis) -> Text:
    """What the divergences of a part may hide: where they sit, of their scales, and what that does to bands."""
    n, end, name = part["divergences"], part.get("divergent_end", ""), part["part"]
    if n < LEAST_TOLD:
        return message("{part}: too few to tell where they sit; they hide next to nothing", part=name)
    if end not in ENDS or part["divergent_scale"] not in SCALES:
        return message(
            "{part}: they sit nowhere in particular; another --seed tells whether they matter", part=name
        )
    return message(
        "{part}: {share:.0%} of them where {scale} is {end}", part=name, share=part["divergent_share"],
        scale=SCALES[part["divergent_scale"]], end=ENDS[end],
    )  # fmt: skip


GATE = Gate()
