"""Where does it saturate, and why? A pure plan (`plan` and its parts) under a thin loop (`loop`)."""
