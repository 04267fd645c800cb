# What the variables change.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "abc1234"
}

run "public_network" {
  variables {
    network = "public"
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length(aws_internet_gateway.this) == 1 && aws_ecs_service.this["main"].network_configuration[0].assign_public_ip
    error_message = "A public network pays for one address instead of the endpoints."
  }

  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && length(aws_security_group.endpoints) == 0
    error_message = "S3 stays on the gateway endpoint."
  }
}

run "worker_tasks" {
  variables {
    worker_task_count = 3
    settings          = { WORKER_CONCURRENCY = "64" }
  }

  assert {
    condition     = aws_ecs_service.this["workers"].desired_count == 3 && aws_ecs_service.this["main"].desired_count == 1
    error_message = "Workers are further tasks; the scheduler stays alone."
  }

  assert {
    condition     = { for entry in jsondecode(aws_ecs_task_definition.this["workers"].container_definitions)[0].environment : entry.name => entry.value }["ROLES"] == "worker"
    error_message = "Further tasks only work."
  }

  assert {
    condition = alltrue([
      for task in aws_ecs_task_definition.this :
      { for entry in jsondecode(task.container_definitions)[0].environment : entry.name => entry.value }["WORKER_CONCURRENCY"] == "64"
    ])
    error_message = "A setting reaches every task."
  }

  assert {
    condition     = toset(keys(aws_scheduler_schedule.stop)) == toset(["main", "workers"])
    error_message = "The end of the run ends every task."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["rate"].threshold == 12.5 # 100 messages a second over 4 tasks, half of it
    error_message = "The main task does only its share when others help."
  }

  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.this :
      alltrue([for query in alarm.metric_query : query.metric[0].dimensions == tomap({ service = "loadtest", role = "main" }) if length(query.metric) > 0])
    ])
    error_message = "Alarms must look at the main task, not at an average over all."
  }

  assert {
    condition     = length(setintersection(flatten(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets[*].properties.metrics), ["main", "workers"])) == 2
    error_message = "The dashboard must show workers beside the main task."
  }
}

run "redis_with_a_replica_in_another_zone" {
  variables {
    redis_engine            = "redis"
    redis_engine_version    = "7.1"
    redis_replicas          = 1
    availability_zone_count = 2
  }

  assert {
    condition     = aws_elasticache_replication_group.this.automatic_failover_enabled && aws_elasticache_replication_group.this.multi_az_enabled && aws_elasticache_replication_group.this.num_cache_clusters == 2
    error_message = "A replica is there to take over."
  }

  assert {
    condition     = aws_elasticache_parameter_group.this.family == "redis7" && length(aws_subnet.this) == 2
    error_message = "The parameter group follows the engine."
  }
}

run "a_zone_by_name" {
  variables {
    availability_zones = ["us-east-1c"]
  }

  assert {
    condition     = length(aws_subnet.this) == 1 && aws_subnet.this[0].availability_zone == "us-east-1c"
    error_message = "A zone that lacks the node type can be avoided."
  }
}

run "arm64" {
  variables {
    cpu_architecture = "ARM64"
  }

  assert {
    condition     = endswith(jsondecode(aws_ecs_task_definition.this["main"].container_definitions)[0].image, ":abc1234-arm64") && output.image_tag == "abc1234-arm64"
    error_message = "The same commit for another architecture is another image."
  }
}

run "saturate_mode" {
  variables {
    settings = { SCHEDULER_MODE = "saturate" }
  }

  assert {
    condition     = output.cost_usd_a_day.s3_requests == null && output.cost_usd_a_run == null
    error_message = "A rate that nobody knows must not be shown as a price."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["rate"].threshold == 0 && aws_cloudwatch_metric_alarm.this["rate"].treat_missing_data == "breaching"
    error_message = "Without an announced rate only silence is worth an alarm."
  }
}

run "a_node_type_without_a_price" {
  variables {
    redis_node_type = "cache.r7gd.xlarge"
  }

  assert {
    condition     = output.cost_usd_a_day.redis == null && output.cost_usd_a_run == null
    error_message = "An unknown price must not be shown as a sum."
  }
}

run "alarms_by_mail" {
  variables {
    alarm_email      = "someone@example.com"
    alarm_thresholds = { rate_per_second = 500 }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["rate"].threshold == 500 && aws_cloudwatch_metric_alarm.this["rate"].treat_missing_data == "breaching" && length(aws_cloudwatch_metric_alarm.this["rate"].alarm_actions) == 1
    error_message = "A rate that is too low, or no line at all, is told by mail."
  }
}
