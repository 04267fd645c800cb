# What AWS would refuse late, or charge for, the variables refuse at once, all of them together.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag = "abc1234"
}

run "every_variable_refuses_nonsense" {
  command = plan

  variables {
    region                 = "mars"
    name                   = "Load_Test"
    network                = "nat"
    vpc_cidr               = "10.0.0.0/8"
    bucket_name            = "a.b"
    s3_prefix              = "/"
    object_expiry_days     = 1
    redis_engine           = "memcached"
    redis_node_type        = "t4g.small"
    image_tag              = "latest"
    memory_mib             = 1000 # Fargate has no such size for 1 vCPU
    cpu_architecture       = "amd64"
    worker_task_count      = -1
    settings               = { WORKER_CONCURENCY = "64" }
    queue_name             = "load test"
    shutdown_grace_seconds = 120 # no time left before Fargate kills
    run_hours              = 0
    log_retention_days     = 2
    alarm_email            = "me"
    alarm_thresholds       = { memory_percent = 120 }
    service                = "both"
  }

  expect_failures = [
    var.region, var.name, var.network, var.vpc_cidr, var.bucket_name, var.s3_prefix,
    var.object_expiry_days, var.redis_engine, var.redis_node_type, var.image_tag, var.memory_mib,
    var.cpu_architecture, var.worker_task_count, var.settings, var.queue_name, var.shutdown_grace_seconds, var.run_hours,
    var.log_retention_days, var.alarm_email, var.alarm_thresholds, var.service,
  ]
}

# Apart from the run above: a validation that reads `service` is left out while that one is wrong.
run "numbers_that_depend_on_the_service" {
  command = plan

  variables {
    availability_zone_count = 4
    redis_replicas          = 6
  }

  expect_failures = [var.availability_zone_count, var.redis_replicas]
}

run "combinations_that_do_not_exist" {
  command = plan

  variables {
    redis_engine_version = "7.1"                        # of redis, not of valkey
    availability_zones   = ["eu-west-1a"]               # of another region
    settings             = { S3_PREFIX = "elsewhere/" } # the infrastructure decides it
  }

  expect_failures = [var.redis_engine_version, var.availability_zones, var.settings]
}
