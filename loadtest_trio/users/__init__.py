"""Simulated users: thousands of coroutines that use an HTTP service, and what they see of it.

    profile ──► population ──► users ──► scenario ──► client ──► the service
    (how many)      │            │
                    │            └──► tally ──► one `users` line an interval ──► conditions, thresholds
                    └───────────────── stop, recover ◄───────────────────────────────┘

`profile`, `tally`, `conditions` and `thresholds` are pure: they are given the time and run in virtual time.
"""
