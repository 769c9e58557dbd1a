"""Health and metrics for Nagios, Icinga and Prometheus; nothing here is in a request's way."""

__all__ = ["exporter", "health", "logs", "metrics"]
