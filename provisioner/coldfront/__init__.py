"""The Django app for ColdFront 1.1: it writes requests and reads receipts.

Promises: ColdFront's pages work whatever happens here; what was decided in ColdFront becomes a
request, at once or by the next timer. Leaves out: provisioning. The service knows nothing of it.
"""
