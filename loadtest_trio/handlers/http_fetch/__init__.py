"""http-fetch: GET a URL that somebody else chose, without becoming their way into our network.

    URL ──► check ──► resolve ──► check every address ──► connect to one of them ──► GET ──► page
             ▲                                                                        │
             └─────────────────────────────── redirect ──────────────────────────────┘

Every host name is resolved once a hop, and the connection goes to an address that was checked.
"""
