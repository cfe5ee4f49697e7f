"""Files of somebody's own tasks, with modules beside them, for the tests of the world `yours`."""

import json
import sys

from benchmarks.worlds.yours import Yours
from instar.types import Split


def task(**keys):
    """A line that needs nothing but an empty folder."""
    return {"instruction": "do it", "files": {}, **keys}


def write(folder, *lines, name="mine.jsonl", **settings):
    """Write a file of tasks and open it as a world; texts are written as they are."""
    texts = [x if isinstance(x, str) else json.dumps(x, ensure_ascii=False) for x in lines]
    (folder / name).write_text("\n".join(texts) + "\n", encoding="utf-8")
    return Yours(Yours.Config(file=folder / name, **settings))


def module(folder, name, text):
    """Write a module beside the task file; one of that name from another test is forgotten."""
    (folder / f"{name}.py").write_text(text)
    sys.modules.pop(name, None)


async def judged(world, *calls, answer=None):
    """The score of the first held-out task after some calls of its tools."""
    episode = await world.open(world.tasks(Split.HELD_OUT, 1, 0)[0], 0)
    try:
        for name, arguments in calls:
            result = await episode.toolset.call(name, arguments)
            assert not result.error, result.text
        if answer is not None:
            await episode.finish(answer)
        return await episode.score()
    finally:
        await episode.close()
        await world.close()
