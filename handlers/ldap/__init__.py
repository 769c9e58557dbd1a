"""Accounts and groups in Active Directory, AD LDS or a plain RFC 2307 directory."""
