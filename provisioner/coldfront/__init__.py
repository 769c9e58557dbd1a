"""The Django app for ColdFront 1.1: it writes requests and reads receipts.

Promises: an error in this app never breaks a page of ColdFront; each decision in ColdFront becomes
a request, at once or at the next run of a timer. Leaves out: provisioning. The service does not
depend on this app.
"""
