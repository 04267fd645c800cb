# Every setting of the service as text, with the service's own default, as printed by `python -m loadtest_trio config`;
# tests/deploy/test_settings.py compares the two. An empty value counts as unset. Credentials come from the task role.
locals {
  setting_defaults = {
    S3_TRANSPORT                  = "lean"
    MAX_OBJECT_BYTES              = "67108864"
    STARTUP_TIMEOUT_SECONDS       = "30"
    STEADY_STATE_DISTRIBUTION     = "READ:50,UPDATE:25,CREATE:10,DELETE:15"
    SCHEDULER_MODE                = "rate"
    SCHEDULER_MESSAGES_PER_SECOND = "100"
    SCHEDULER_INTERVAL_SECONDS    = "1"
    SCHEDULER_TARGET_QUEUE_LENGTH = "1000"
    MAX_QUEUE_LENGTH              = "100000"
    PRECONDITION_MIN_OBJECTS      = "100"
    PRECONDITION_MAX_OBJECTS      = "1000"
    INVENTORY_RECONCILE_SECONDS   = "60"
    MIN_FILE_UUIDS                = "1000"
    MAX_FILE_UUIDS                = "10000"
    MIN_FILE_SIZE_BYTES           = ""
    MAX_FILE_SIZE_BYTES           = ""
    RANDOM_SEED                   = ""
    WORKER_CONCURRENCY            = "10"
    MAX_RETRIES                   = "3"
    MAX_DELIVERIES                = "5"
    CONSUMER_TTL_SECONDS          = "15"
    API_HOST                      = "127.0.0.1"
    API_PORT                      = "8000"
    API_SERVER                    = "lean"
    API_TOKEN                     = ""
    API_DRAIN_SECONDS             = "0"
    API_MAX_CONNECTIONS           = "10000"
    API_MAX_BODY_BYTES            = "1048576"
    JOB_RATE_LIMIT_PER_MINUTE     = "100"
    JOB_TTL_SECONDS               = "86400"
    JOB_ARCHIVE                   = "none"
    JOB_INLINE_RESULT_BYTES       = "16384"
    JOB_WAIT_REPLICAS             = "0"
    JOB_MAX_SECONDS               = "60"
    JOB_RETRY_BASE_SECONDS        = "2"
    COMPUTE_PROCESSES             = ""
    FACTORIAL_MAX_N               = "100000"
    SHA512_MAX_ITERATIONS         = "100000000"
    HTTP_FETCH_ALLOW              = ""
    HTTP_FETCH_MAX_BYTES          = "5242880"
    HTTP_FETCH_TIMEOUT_SECONDS    = "10"
    HTTP_FETCH_MAX_REDIRECTS      = "5"
    HEALTH_HOST                   = "127.0.0.1"
    HEALTH_PORT                   = "8080"
    HEALTH_ENDPOINT_PATH          = "/health"
    HEALTH_STALL_SECONDS          = "60"
    DASHBOARD                     = "false"
    DASHBOARD_TOKEN               = ""
    METRICS_ENDPOINT              = "false"
    LOG_INTERVAL_SECONDS          = "10"
    LOG_LEVEL                     = "INFO"
    LOG_FORMAT                    = "auto"
    METRICS_NAMESPACE             = "loadtest_trio"
    MAX_COST_USD                  = ""
  }

  # Not the service's own defaults; var.settings may change them.
  job_defaults = !local.jobs ? {} : {
    # ECS takes a task out of the load balancer before it sends SIGTERM, but the load balancer's machines hear of it one by one.
    API_DRAIN_SECONDS = "5"
    # An accepted job is on a replica, so a failover of Redis loses none. Without a replica submissions are refused.
    JOB_WAIT_REPLICAS = "1"
  }

  # Determined by the resources here, so var.settings may not change them. REDIS_ENDPOINT comes from Secrets Manager and
  # ROLES from the service (service.tf).
  infrastructure_settings = {
    AWS_REGION             = var.region
    S3_BUCKET              = aws_s3_bucket.this.bucket
    S3_PREFIX              = var.s3_prefix
    S3_ENDPOINT_URL        = ""
    S3_CREATE_BUCKET       = "false"
    QUEUE_NAME             = var.queue_name
    SHUTDOWN_GRACE_SECONDS = tostring(var.shutdown_grace_seconds)
    # Not the default (86400): ECS would restart an exited task. The schedule ends the run instead (schedule.tf).
    RUN_DURATION_SECONDS = "0"
    # The load balancer reaches the API from other machines; its token comes from Secrets Manager (service.tf).
    API_HOST = local.jobs ? "0.0.0.0" : local.setting_defaults.API_HOST
    # Not the default (plain): CloudWatch extracts metrics from the line, without API requests.
    METRICS_FORMAT = "emf"
  }

  environment = merge(local.setting_defaults, local.job_defaults, var.settings, local.infrastructure_settings)
}
