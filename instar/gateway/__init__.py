"""The gateway between an agent in production and its model: it passes on, recalls and takes down.

`instar.gateway.app` is what an agent talks to, `instar.gateway.upstream` where its requests go on to,
`instar.gateway.counts` what became of them.
"""
