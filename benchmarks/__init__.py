"""Measures the service beside its peers; nothing here is part of the package."""
