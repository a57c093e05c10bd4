"""Callers: their credentials and scopes, and the comparison with a secret.

callers.py compares, identity.py has the scopes. The rule for each route is in the room: sync/intake/http.py,
sync/pull/doorbell.py, backend/serve/protocol.py and backend/review/guard.py.
"""
