# The module as it stands when nobody says anything but the image. Applied against mocks, so nothing is called.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "abc1234"
}

run "defaults" {
  assert {
    condition     = aws_ecs_task_definition.this["main"].cpu == "1024" && aws_ecs_task_definition.this["main"].memory == "2048"
    error_message = "The task must have exactly 1 vCPU and a memory size that Fargate sells with it."
  }

  assert {
    condition     = keys(aws_ecs_service.this) == ["main"] && aws_ecs_service.this["main"].desired_count == 1
    error_message = "One vCPU is measured, so there is one task."
  }

  assert {
    condition     = aws_ecs_service.this["main"].deployment_maximum_percent == 100
    error_message = "A rollout must tell the old task to stop before it starts the new one."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["main"].container_definitions)[0].stopTimeout > var.shutdown_grace_seconds
    error_message = "ECS must not kill the task before its grace period is over."
  }

  assert {
    condition = alltrue([
      for container in jsondecode(aws_ecs_task_definition.this["main"].container_definitions) :
      container.readonlyRootFilesystem && container.user != "0" && container.linuxParameters.capabilities.drop == ["ALL"]
    ])
    error_message = "The container must run without root, capabilities and a writable root."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["main"].container_definitions)[0].healthCheck.command == ["CMD", "python", "-m", "loadtest_trio", "check"]
    error_message = "The health check must be the service's own."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["main"].container_definitions)[0].healthCheck.interval == 30
    error_message = "A check costs CPU of the vCPU that is measured, so it must be seldom."
  }

  assert {
    condition     = endswith(jsondecode(aws_ecs_task_definition.this["main"].container_definitions)[0].image, ":abc1234-amd64")
    error_message = "The tag must tell the image for one architecture from that for the other."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["once"].container_definitions)[0].logConfiguration.options.awslogs-stream-prefix == "once"
    error_message = "The lines of a command by hand must not be among those of the run."
  }

  assert {
    condition     = aws_ecs_service.this["main"].force_new_deployment && aws_ecs_service.this["main"].triggers.run == "first"
    error_message = "A run must be a deployment of its own, so that ECS says how it went."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["rate"].threshold == 50
    error_message = "Half of the schedule's 100 messages a second is worth an alarm."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["main"].container_definitions)[0].secrets[*].name == ["REDIS_ENDPOINT"]
    error_message = "The Redis URL holds the token, so it must come from Secrets Manager."
  }

  assert {
    condition     = !can(regex("0123456789abcdef", aws_ecs_task_definition.this["main"].container_definitions))
    error_message = "The token must not be in the task definition."
  }

  assert {
    condition     = aws_elasticache_replication_group.this.transit_encryption_enabled && aws_elasticache_replication_group.this.transit_encryption_mode == "required" && aws_elasticache_replication_group.this.at_rest_encryption_enabled
    error_message = "Redis must refuse plain connections and encrypt what it stores."
  }

  assert {
    condition     = length(aws_elasticache_replication_group.this.auth_token) == 64 && aws_secretsmanager_secret_version.redis_endpoint.secret_string == "rediss://:${aws_elasticache_replication_group.this.auth_token}@master.loadtest-trio.abcdef.use1.cache.amazonaws.com:6379/0"
    error_message = "The task must be given the token that Redis asks for, over TLS."
  }

  assert {
    condition     = aws_elasticache_parameter_group.this.family == "valkey7" && [for parameter in aws_elasticache_parameter_group.this.parameter : parameter.value if parameter.name == "maxmemory-policy"] == ["noeviction"]
    error_message = "A full queue must refuse messages, not forget them."
  }

  assert {
    condition     = alltrue([aws_s3_bucket_public_access_block.this.block_public_acls, aws_s3_bucket_public_access_block.this.block_public_policy, aws_s3_bucket_public_access_block.this.ignore_public_acls, aws_s3_bucket_public_access_block.this.restrict_public_buckets])
    error_message = "The bucket must not be public in any way."
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this.rule[0].filter[0].prefix == var.s3_prefix
    error_message = "Only what the service wrote may expire."
  }

  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && toset(keys(aws_vpc_endpoint.interface)) == toset(["ecr.api", "ecr.dkr", "logs", "secretsmanager"])
    error_message = "S3 must be free of charge through the gateway, the rest reachable without the internet."
  }

  assert {
    condition     = length(aws_internet_gateway.this) == 0 && !aws_ecs_service.this["main"].network_configuration[0].assign_public_ip
    error_message = "A private network has no way out."
  }

  assert {
    condition     = timecmp(aws_scheduler_schedule.stop["main"].start_date, timeadd(terraform_data.run.output, "24h")) >= 0
    error_message = "The run must not end before its 24 hours."
  }

  assert {
    condition     = jsondecode(aws_scheduler_schedule.stop["main"].target[0].input) == { Cluster = "loadtest-trio", Service = "loadtest-trio", DesiredCount = 0 }
    error_message = "The schedule must stop this service."
  }

  assert {
    condition     = output.cost_usd_a_run > 0 && output.cost_usd_a_day.network == 0.96
    error_message = "Four interface endpoints in one zone cost $0.96 a day."
  }
}

run "a_second_run_of_the_same_image_is_counted_again" {
  variables {
    run_id = "second"
  }

  assert {
    condition     = terraform_data.run.output != run.defaults.run_started_at && output.run_stops_at != run.defaults.run_stops_at
    error_message = "A new run_id must move the end of the run."
  }
}

run "the_same_apply_again_keeps_the_end_of_the_run" {
  variables {
    run_id = "second"
  }

  assert {
    condition     = output.run_stops_at == run.a_second_run_of_the_same_image_is_counted_again.run_stops_at
    error_message = "Applying without a change must not prolong the run."
  }
}
