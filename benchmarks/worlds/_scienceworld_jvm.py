"""One ScienceWorld simulator in a Java process of its own, asked by py4j over loopback.

The wheel's own `ScienceWorldEnv` is left aside: its step also lists every valid action, which is
nine tenths of its time, and it opens a callback server that nobody needs. Asked is the interface
that it wraps. The gateway takes a secret, so that nobody else on the machine can reset or score
an episode; the process ends with its standard input, so it outlives nobody who was killed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from instar.errors import EpisodeFault, MissingExtra, UserError
from instar.types import Split

__all__ = ["INSTALL_JAVA", "Answer", "Simulator", "find_java"]

INSTALL_JAVA = "sudo apt-get install default-jre-headless"
_LIBRARY = "pip install -e '.[scienceworld]' -c constraints.txt"
_FLAGS = ("-Xmx512m", "-XX:+UseSerialGC", "-Djava.awt.headless=true")
_BRIEF = "-XX:TieredStopAtLevel=1"
_SECONDS = 120.0
_GOLD = 5  # A gold path is worked out by playing it, which takes as many times as long.
# What it says, with the score of a failure, in every step after one that threw.
_BROKEN = re.compile(r"(java|scala)\.[\w.]+")
_SPLITS = {
    Split.PRACTISE: "getVariationsTrain",
    Split.GATE: "getVariationsDev",
    Split.HELD_OUT: "getVariationsTest",
}


class Answer(NamedTuple):
    """What a step came to.

    Attributes:
        text: What the simulator says.
        score: From 0 to 1, or -1 where the task has failed for good.
        done: Whether the task is completed.
    """

    text: str
    score: float
    done: bool


def find_java() -> Path:
    """The Java of ``JAVA_HOME``, else the one on PATH.

    Raises:
        MissingExtra: There is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = (home and shutil.which("java", path=str(Path(home, "bin")))) or shutil.which("java")
    if not found:
        raise MissingExtra("Java", INSTALL_JAVA)
    return Path(found)


def _jars() -> str:
    """Class path of the simulator and of its gateway."""
    spec = importlib.util.find_spec("scienceworld")
    jars = [
        path
        for place in (spec and spec.submodule_search_locations) or ()
        for path in sorted(Path(place).glob("*.jar"))
    ]
    if not jars or importlib.util.find_spec("py4j") is None:
        raise MissingExtra("ScienceWorld", _LIBRARY)
    from py4j.java_gateway import find_jar_path

    return os.pathsep.join([p for p in (find_jar_path(), *map(str, jars)) if p])


def _end(process: subprocess.Popen[str], folder: tempfile.TemporaryDirectory[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    folder.cleanup()


class Simulator:
    """A process with one environment. Calls block, and there may be one at a time.

    Args:
        brief: Whether it will live for one episode only. Then what Java spends on making its code
            fast is never earned back.

    Raises:
        MissingExtra: Java or the library is not installed.
        UserError: Java does not run the simulator.
    """

    def __init__(self, brief: bool = False) -> None:
        self._java, jars = find_java(), _jars()
        flags = (*_FLAGS, _BRIEF) if brief else _FLAGS
        # It writes a table of its own into the folder that it stands in.
        folder = tempfile.TemporaryDirectory(prefix="instar-scienceworld-")
        server = ["py4j.GatewayServer", "--die-on-broken-pipe", "--enable-auth", "0"]
        try:
            self._process = subprocess.Popen(
                [str(self._java), *flags, "-cp", jars, *server],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                cwd=folder.name,
                start_new_session=True,  # Ctrl-C is for us, and we end it in order.
            )
        except OSError as error:
            folder.cleanup()
            raise UserError(f"{self._java} does not start: {error.strerror}") from error
        self._busy = False
        self._end = weakref.finalize(self, _end, self._process, folder)
        try:
            self._connect()
        except BaseException:
            self._end()
            raise

    def _connect(self) -> None:
        from py4j.java_gateway import GatewayParameters, JavaGateway

        with self._asked():
            port, secret = self._greeting()
            self._gateway = JavaGateway(
                gateway_parameters=GatewayParameters(
                    address="127.0.0.1",
                    port=port,
                    auth_token=secret,
                    # Else garbage collection speaks to Java at any moment, from any thread.
                    enable_memory_management=False,
                )
            )
            jvm = self._gateway.jvm
            # It prints at every step into a pipe that nobody empties.
            nowhere = jvm.java.io.PrintStream(os.devnull)
            jvm.java.lang.System.setOut(nowhere)
            jvm.java.lang.System.setErr(nowhere)
            self._server = jvm.scienceworld.runtime.pythonapi.PythonInterface()

    def _greeting(self) -> tuple[int, str]:
        """Port and secret: two lines, before which Java may have warned of something."""
        assert self._process.stdout is not None
        said = ""
        for line in self._process.stdout:
            if line.strip().isdigit():
                return int(line), self._process.stdout.readline().strip()
            said = line.strip() or said
        raise UserError(f"{self._java} does not run ScienceWorld: {said or 'no answer'}")

    @contextmanager
    def _asked(self, patience: int = 1) -> Iterator[None]:
        """While Java is asked: it is ended where it does not answer, or answers with an error."""
        from py4j.protocol import Py4JError

        watch = threading.Timer(_SECONDS * patience, self._process.kill)
        watch.daemon = True
        watch.start()
        self._busy = True
        try:
            yield
            self._busy = False
        except (Py4JError, OSError) as error:
            self._process.kill()
            first = str(error).strip().partition("\n")[0]
            raise EpisodeFault(f"the simulator failed: {first[:200]}") from error
        finally:
            watch.cancel()

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it lives and is between two calls, so that another episode may begin."""
        return not self._busy and self._process.poll() is None

    def load(self, name: str, variation: int, simplification: str, gold: bool = False) -> None:
        """Begin a variation of a task from its first moment.

        Args:
            gold: Whether to work out the gold path as well, which plays the task once.

        Raises:
            EpisodeFault: The simulator failed, here as in all that follows.
        """
        with self._asked(_GOLD if gold else 1):
            self._server.load(name, variation, simplification, gold)

    def step(self, action: str) -> Answer:
        """Do one action."""
        with self._asked():
            text = self._server.step(action)
            answer = Answer(text, self._server.getScore(), self._server.getCompleted())
        if answer.score < 0 and _BROKEN.match(text):
            self._process.kill()
            raise EpisodeFault(f"the simulator failed: {text[:200]}")
        return answer

    def scene(self) -> tuple[str, str]:
        """What is around and what is carried; no time passes."""
        with self._asked():
            return self._server.freeActionLook(), self._server.freeActionInventory()

    def instruction(self) -> str:
        """What the loaded task asks for."""
        with self._asked():
            return str(self._server.getTaskDescription())

    def names(self) -> list[str]:
        """Tasks that the simulator has."""
        return self._strings("getTaskNames")

    def templates(self) -> list[str]:
        """Forms of action that the loaded task knows, ``OBJ`` for what they act on."""
        return self._strings("getPossibleActions")

    def gold(self) -> list[str]:
        """The gold path of a task that was loaded with it."""
        return self._strings("getGoldActionSequence")

    def variations(self, split: Split) -> list[int]:
        """The benchmark's own split of the loaded task: train, dev and test."""
        with self._asked():
            # As one text: an element at a time is a call over the socket each.
            found: list[int] = json.loads(getattr(self._server, _SPLITS[split])().toString())
        return found

    def _strings(self, method: str) -> list[str]:
        with self._asked():
            found: Any = getattr(self._server, method)()
            strings = [str(one) for one in found]
            self._gateway.detach(found)
        return strings

    def close(self) -> None:
        """End the process; what is asked at the moment fails."""
        self._end()
        if gateway := getattr(self, "_gateway", None):
            gateway.close()
