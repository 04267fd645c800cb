# The job service: what its variables refuse and change.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag       = "abc1234"
  service         = "jobs"
  certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
}

run "every_variable_of_jobs_refuses_nonsense" {
  command = plan

  variables {
    certificate_arn               = "my-certificate"
    api_roles                     = "worker"
    api_task_min                  = 1
    api_cpu_target_percent        = 100
    worker_task_min               = 0
    backlog_per_worker_task       = 0
    scale_out_cooldown_seconds    = -1
    scale_in_cooldown_seconds     = 1.5
    load_balancer                 = "open"
    health_check_path             = "health"
    health_check_interval_seconds = 5
    health_check_failures         = 1
    deregistration_delay_seconds  = 30 # shorter than a long poll
    load_balancer_idle_seconds    = 75 # the API would close first
    expected_jobs_per_second      = -1
    availability_zone_count       = 1
    redis_replicas                = 0
  }

  expect_failures = [
    var.certificate_arn, var.api_roles, var.api_task_min, var.api_cpu_target_percent, var.worker_task_min,
    var.backlog_per_worker_task, var.scale_out_cooldown_seconds, var.scale_in_cooldown_seconds, var.load_balancer,
    var.health_check_path, var.health_check_interval_seconds, var.health_check_failures, var.deregistration_delay_seconds,
    var.load_balancer_idle_seconds, var.expected_jobs_per_second, var.availability_zone_count, var.redis_replicas,
  ]
}

# Apart from the run above: a validation that reads another variable is left out while that one is wrong.
run "more_than_the_most_and_no_addresses" {
  command = plan

  variables {
    api_task_max      = 1
    worker_task_max   = 0
    api_ingress_cidrs = ["everybody"]
  }

  expect_failures = [var.api_task_max, var.worker_task_max, var.api_ingress_cidrs]
}

run "a_token_in_clear_text_across_the_internet_is_refused" {
  command = plan

  variables {
    certificate_arn    = null
    availability_zones = ["us-east-1a"]
  }

  expect_failures = [var.api_ingress_cidrs, var.availability_zones]
}

run "waiting_for_more_replicas_than_there_are_is_refused" {
  command = plan

  variables {
    settings = { JOB_WAIT_REPLICAS = "2" }
  }

  expect_failures = [var.redis_replicas]
}

run "two_replicas_may_both_be_waited_for" {
  command = plan

  variables {
    redis_replicas = 2
    settings       = { JOB_WAIT_REPLICAS = "2" }
  }

  assert {
    condition     = aws_elasticache_replication_group.this.num_cache_clusters == 3 && local.environment.JOB_WAIT_REPLICAS == "2"
    error_message = "Settings go before the job service's defaults."
  }
}

run "internal_over_http" {
  variables {
    certificate_arn = null
    load_balancer   = "internal"
    api_roles       = "api"
  }

  assert {
    condition     = aws_lb.this[0].internal && length(aws_internet_gateway.this) == 0 && aws_lb_listener.api[0].protocol == "HTTP" && aws_lb_listener.api[0].port == 80
    error_message = "An internal load balancer needs no way in from the internet, and forwards plain HTTP."
  }

  assert {
    condition     = { for entry in jsondecode(aws_ecs_task_definition.this["api"].container_definitions)[0].environment : entry.name => entry.value }["ROLES"] == "api"
    error_message = "The API may leave the work to the workers."
  }
}

run "public_tasks_for_http_fetch" {
  variables {
    network  = "public"
    settings = { JOB_ARCHIVE = "s3" }
  }

  assert {
    condition     = length(aws_subnet.load_balancer) == 0 && length(aws_vpc_security_group_egress_rule.task_to_web) == 1
    error_message = "Public tasks reach the web, and share their subnets with the load balancer."
  }

  assert {
    condition     = output.cost_usd_a_day.s3_requests == 4.32 # 10 jobs a second, one PUT each
    error_message = "An archived job costs a PUT."
  }
}
