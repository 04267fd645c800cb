"""The saturation search: a pure plan, and the rig that drives the running service for it."""
