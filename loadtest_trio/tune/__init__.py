"""The saturation search: a pure plan, and a rig that carries it out on the running service."""
