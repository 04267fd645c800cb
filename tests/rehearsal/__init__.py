"""Rehearsal of the deployment on one machine: what AWS would do to the job service, done to its processes.

    customers, users ──► balancer (nginx) ──► tasks of the service `api` ──┐
                            ▲ targets          ▲ starts, stops, replaces     ├──► proxies ──► Redis, S3
                            └── cluster: plays ECS and Application ──────────┘
                                Auto Scaling, by the applied definitions

`apply` deploys to an AWS on loopback and `read` reads back what `applied` describes; `snapshot` keeps it.
`cluster`, `balancer` and `autoscaling` do what it says, `tasks` are its processes, and `overrides` lists how
they differ. `stage` puts it on loopback, the scenes show what happens to it, `play` runs them, and `__main__`
(scripts/rehearse) tells.
"""
