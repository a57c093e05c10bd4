"""Every call to Label Studio, except the readiness check in sync/service.py, which requests its /health."""
