"""Rehearsal of the deployment on one machine: what AWS would do to the job service, done to its processes.

    customers, users ──► balancer (nginx) ──► tasks of the service `api` ──┐
                            ▲ targets          ▲ starts, stops, replaces     ├──► proxies ──► Redis, S3
                            └── cluster: plays ECS and Application ──────────┘
                                Auto Scaling, by the applied definitions

`applied` is what is read back from AWS, `cluster`, `balancer` and `autoscaling` do what it says, `stage` puts
it on loopback, `scenes` shows what happens to it, and `__main__` (scripts/rehearse) runs them and tells.
"""
