"""The service beside an agent in production: it recalls, takes down what happened, and how it went.

`instar.service.sessions` is what it does, `instar.service.app` how it is asked over HTTP.
"""
