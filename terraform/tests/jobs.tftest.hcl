# The job service: service = "jobs".
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag       = "abc1234"
  service         = "jobs"
  certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
}

run "jobs" {
  assert {
    condition     = length(aws_ecs_service.this) == 0 && keys(aws_ecs_service.jobs) == ["api", "workers"] && length(aws_scheduler_schedule.stop) == 0
    error_message = "The job service is an API and workers, and has no planned end."
  }

  assert {
    condition     = aws_appautoscaling_target.this["api"].min_capacity == 2 && aws_appautoscaling_target.this["api"].max_capacity == 4
    error_message = "Brief 004: 2 to 4 instances."
  }

  assert {
    condition     = aws_appautoscaling_policy.cpu[0].target_tracking_scaling_policy_configuration[0].target_value == 70 && aws_appautoscaling_policy.cpu[0].target_tracking_scaling_policy_configuration[0].predefined_metric_specification[0].predefined_metric_type == "ECSServiceAverageCPUUtilization"
    error_message = "Brief 004: 70 % CPU."
  }

  assert {
    condition     = aws_appautoscaling_policy.cpu[0].target_tracking_scaling_policy_configuration[0].scale_out_cooldown == 60 && aws_appautoscaling_policy.cpu[0].target_tracking_scaling_policy_configuration[0].scale_in_cooldown == 300
    error_message = "Scaling out is quick, scaling in is slow."
  }

  assert {
    condition     = aws_lb_target_group.api[0].health_check[0].path == "/api/jobs/health" && aws_lb_target_group.api[0].health_check[0].interval == 30 && aws_lb_target_group.api[0].port == 8000
    error_message = "Readiness is asked every 30 s on the API's port."
  }

  assert {
    condition     = aws_lb.this[0].idle_timeout > 60 && aws_lb.this[0].idle_timeout < 75 && tonumber(aws_lb_target_group.api[0].deregistration_delay) >= 60
    error_message = "A long poll of 60 s must end in time, and the API must not close a connection first (75 s)."
  }

  assert {
    condition     = alltrue([for service in aws_ecs_service.jobs : service.deployment_minimum_healthy_percent == 100 && service.deployment_maximum_percent == 200 && service.deployment_circuit_breaker[0].enable && service.deployment_circuit_breaker[0].rollback])
    error_message = "A deployment rolls without fewer tasks, and rolls back."
  }

  assert {
    condition     = length(aws_ecs_service.jobs["api"].load_balancer) == 1 && length(aws_ecs_service.jobs["workers"].load_balancer) == 0
    error_message = "Only the API stands behind the load balancer."
  }

  assert {
    condition = { for entry in jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].environment : entry.name => entry.value if contains(["ROLES", "API_HOST", "API_DRAIN_SECONDS", "JOB_WAIT_REPLICAS"], entry.name) } == {
      ROLES = "api,worker", API_HOST = "0.0.0.0", API_DRAIN_SECONDS = "5", JOB_WAIT_REPLICAS = "1"
    }
    error_message = "The load balancer reaches the API from other machines, and an accepted job is on a replica."
  }

  assert {
    condition     = toset(jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].secrets[*].name) == toset(["API_TOKEN", "REDIS_ENDPOINT"])
    error_message = "Token and Redis URL come from Secrets Manager."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].stopTimeout <= 120
    error_message = "Fargate kills after 120 s."
  }

  assert {
    condition     = length(aws_subnet.this) == 2 && aws_subnet.this[0].availability_zone != aws_subnet.this[1].availability_zone && length(aws_subnet.load_balancer) == 2
    error_message = "Two zones; the public load balancer has subnets of its own."
  }

  assert {
    condition     = !aws_ecs_service.jobs["api"].network_configuration[0].assign_public_ip && length(aws_route.internet) == 0
    error_message = "The tasks stay private."
  }

  assert {
    condition     = aws_elasticache_replication_group.this.num_cache_clusters == 2 && aws_elasticache_replication_group.this.automatic_failover_enabled && aws_elasticache_replication_group.this.multi_az_enabled
    error_message = "A replica in another zone takes over."
  }

  assert {
    condition     = aws_lb_listener.api[0].port == 443 && aws_lb_listener.api[0].protocol == "HTTPS" && [for rule in aws_vpc_security_group_ingress_rule.load_balancer_from_clients : rule.to_port] == [443]
    error_message = "With a certificate there is nothing but HTTPS."
  }

  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.this) == ["dead", "healthy_targets", "ledger", "memory", "queue_age", "server_errors", "unhealthy_targets"]
    error_message = "Queue age, dead letters, 5xx, targets, ledger and memory are watched."
  }

  assert {
    condition     = output.cost_usd_a_day.load_balancer > 0 && output.cost_usd_a_run > 30 * output.cost_usd_a_day.load_balancer && output.cost_usd_a_run_at_most > output.cost_usd_a_run
    error_message = "The load balancer costs, the estimate is for a month, and scaling costs more."
  }
}
