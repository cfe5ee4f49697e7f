"""Experience memory from an Instar service, for any agent, and never in its way.

    import instar_client

    session = instar_client.session(agent="support", task="refund order 417")
    prompt = session.recall().text + prompt
    ...
    session.report(messages)
    session.outcome("pass")

Nothing here raises for what the service or the network does, and no call takes longer than its budget:
a recall that is late is an empty one, a report goes out behind the agent's back. `Client.counts` says how
often that was so.
"""

from instar_client._client import Client, Counts, client, session, use_session
from instar_client._session import Memories, Memory, Session

__all__ = ["Client", "Counts", "Memories", "Memory", "Session", "client", "session", "use_session"]
