"""What can be done about a run that is left half-way, in the errors that leave it so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nbops.base.errors import HostFault, HostUnusable, Interrupted, NbopsError, StuckError


@dataclass(frozen=True, kw_only=True)
class WayOn:
    """The commands by which a run goes on. `anew` are the words of its command line that have to be
    given again; `elsewhere` is the command that ends it from another computer, if there is one."""

    run: str
    anew: str = ""
    aborting: bool = False
    elsewhere: str = ""

    def said(self, error: NbopsError) -> NbopsError:
        """The error, with the way on, unless it names that already."""
        last = error.problems[-1]
        if "nbops resume" in (last.hint or ""):
            return error
        way = f"`{self._again('resume')}` goes on, `{self._again('abort')}` undoes it"
        if isinstance(error, Interrupted):
            return Interrupted(f"{error}; what runs on the hosts goes on there", hint=way)
        hint = f"{last.hint}; then {way}" if last.hint else way
        error.problems = (*error.problems[:-1], replace(last, hint=hint))
        return error

    def without(self, unusable: Sequence[HostUnusable], *, half_way: bool) -> NbopsError:
        """These hosts cannot be used; what to do when one of them is gone for good."""
        way = "take it out of the inventory"
        if half_way:
            way += f", then `{self._again('abort' if self.aborting else 'resume')} --changed`"
        problems = [one.problems[0] for one in unusable]
        for at, one in enumerate(unusable):
            if one.fault is HostFault.UNREACHABLE:
                hints = (problems[at].hint, f"if it is gone for good: {way}")
                problems[at] = replace(problems[at], hint="; ".join(filter(None, hints)))
        return HostUnusable.of(problems)

    def stuck(self, why: str, error: StuckError) -> StuckError:
        """The way back failed."""
        again = self._again("resume")
        return StuckError(
            f"{why}. The way back failed too: {error}",
            hint=f"mend the cause, then `{again}` goes on with the way back; when a host is gone"
            f" for good, take it out of the inventory and say `{again} --changed`;"
            f" {self._from_elsewhere()}",
        )

    def unknown(self, why: str) -> NbopsError:
        """It failed before it had come to where the interrupted run stood: what that one did
        beyond is known to nobody yet, and so not what is to be undone."""
        return NbopsError(
            f"{why}. Run {self.run} had come further than that, so nothing was undone",
            hint="mend the cause",
        )

    def half_open(self, why: str) -> NbopsError:
        """It failed while users were let in: nobody may undo it, and it is not finished."""
        return NbopsError(
            f"{why}. Users may be back on what was done, so nothing was undone",
            hint=f"mend the cause, then `{self._again('resume')}` finishes it;"
            f" {self._from_elsewhere()}",
        )

    def stopped(self, why: str) -> NbopsError:
        """It failed, and the user does not want it undone."""
        return NbopsError(
            f"{why}. Stopped there: nothing was undone",
            hint=f"`{self._again('resume')}` tries again from there,"
            f" `{self._again('abort')}` goes back to what was before",
        )

    def _again(self, way: str) -> str:
        return f"nbops {way} {self.run}{self.anew}"

    def _from_elsewhere(self) -> str:
        then = f", then `nbops {self.elsewhere}`" if self.elsewhere else ""
        return f"from another computer `nbops lock break {self.run}`{then}"
