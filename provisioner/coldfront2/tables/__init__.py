"""The outbox's tables in ColdFront 2, as an app of their own.

ColdFront 2 names a plugin's app by the last part of its package, and the tables' app has a name of
its own in each version.
"""
