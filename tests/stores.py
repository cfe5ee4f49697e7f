"""Records of made-up generations, for tests that need a store with a tree of them."""

from instar.types import Generation


def generation(id: str, parent: str | None = None, status: str = "candidate") -> Generation:
    return Generation(
        id=id, seq=int(id[1:]), parent=parent, status=status, model="pocket", prompts="compact"
    )
