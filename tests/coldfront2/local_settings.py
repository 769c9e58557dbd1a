"""A centre's settings: what docs/coldfront2.md says to add, and what makes tests quick."""

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# The tests' pages are asked for without TLS.
SESSION_COOKIE_SECURE = False
CSRF_COOKIE_SECURE = False
PROVISIONER_STAGING = "/nonexistent/staging"
