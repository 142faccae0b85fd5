"""Policies with one mistake each, and a sound one of each kind: one after another."""

from core.hooks import hookimpl
from core.interfaces import MixturePolicy, SelectionPolicy

PLUGIN_API_VERSION = 1
NAMES = ("Sound", "Adds", "Counts", "Remembers", "Divides", "Takes")
SELECTIONS = ("Chooses", "TooFew", "Twice", "Asked", "Turns", "Sorts", "Mixes")


@hookimpl
def register_mixture_policies(register):
    for name in NAMES + SELECTIONS:
        register(f"policy_{name.lower()}", f"broken_policies:{name}")


class Sound(MixturePolicy):
    """Gives one corpus after another half of the tokens."""

    def decide(self, step, losses_by_source, shares):
        turn = self.state.get("turn", 0)
        self.state = {"turn": turn + 1}
        return self.shares(turn, dict(shares))

    def shares(self, turn, shares):
        chosen = list(shares)[turn % len(shares)]
        return {name: (share + (name == chosen)) / 2 for name, share in shares.items()}


class Adds(Sound):
    def shares(self, turn, shares):
        return {name: share + 0.1 for name, share in shares.items()}


class Counts(Sound):
    """Its answers depend on how often anybody asked."""

    asked = 0

    def shares(self, turn, shares):
        type(self).asked += 1
        return super().shares(self.asked, shares)


class Remembers(Sound):
    def decide(self, step, losses_by_source, shares):
        self.turn = getattr(self, "turn", -1) + 1
        return self.shares(self.turn, dict(shares))


class Divides(Sound):
    def shares(self, turn, shares):
        weights = {name: 1 / share for name, share in shares.items()}
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}


class Takes(Sound):
    def decide(self, step, losses_by_source, shares):
        answer = super().decide(step, losses_by_source, shares)
        losses_by_source.popitem()
        return answer


class Chooses(SelectionPolicy):
    """Takes the candidates one after another."""

    candidates = 3

    def select(self, step, losses, reference, count):
        turn = self.state.get("turn", 0)
        self.state = {"turn": turn + 1}
        return [(turn + place) % len(losses) for place in range(count)]


class TooFew(Chooses):
    def select(self, step, losses, reference, count):
        return super().select(step, losses, reference, count)[1:]


class Twice(Chooses):
    def select(self, step, losses, reference, count):
        return super().select(step, losses, reference, count)[:1] * count


class Asked(Chooses):
    """Its choices depend on how often anybody asked."""

    asked = 0

    def select(self, step, losses, reference, count):
        type(self).asked += 1
        return [(self.asked + place) % len(losses) for place in range(count)]


class Turns(Chooses):
    def select(self, step, losses, reference, count):
        self.turn = getattr(self, "turn", -1) + 1
        return [(self.turn + place) % len(losses) for place in range(count)]


class Sorts(Chooses):
    def select(self, step, losses, reference, count):
        losses.sort()
        return super().select(step, losses, reference, count)


class Mixes(Chooses):
    candidates = 1

    def decide(self, step, losses_by_source, shares):
        return shares
