variable "region" {
  description = "AWS region of all resources. The prices in prices.json are those of us-east-1."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must look like us-east-1."
  }
}

variable "service" {
  description = "load: generate S3 and Redis load for run_hours. jobs: serve jobs over HTTP behind a load balancer, without an end (variables_jobs.tf)."
  type        = string
  default     = "load"

  validation {
    condition     = contains(["load", "jobs"], var.service)
    error_message = "service must be load or jobs."
  }
}

variable "name" {
  description = "Prefix of every resource's name, and the value of the Project tag."
  type        = string
  default     = "loadtest-trio"

  validation {
    # ElastiCache allows 40 characters of lower-case letters, digits and single hyphens, the scheduler role 64.
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 24
    error_message = "name must be 1 to 24 lower-case letters, digits and single hyphens, and begin with a letter."
  }
}

variable "network" {
  description = "private: no internet route, interface endpoints (4 x $0.01 per hour and zone). public: a public IPv4 address ($0.005 an hour), no inbound traffic either."
  type        = string
  default     = "private"

  validation {
    condition     = contains(["private", "public"], var.network)
    error_message = "network must be private or public."
  }
}

variable "vpc_cidr" {
  description = "Address range of the VPC; /16 to /24."
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 1)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 24, false)
    error_message = "vpc_cidr must be an IPv4 range from /16 to /24, such as 10.42.0.0/16."
  }
}

variable "availability_zone_count" {
  description = "Number of zones; null: 1 for load (one task and one Redis node gain nothing from a second zone, which doubles the cost of the endpoints), 2 for jobs."
  type        = number
  default     = null

  validation {
    condition     = var.availability_zone_count == null || try(contains(var.service == "jobs" ? [2, 3] : [1, 2, 3], var.availability_zone_count), false)
    error_message = "availability_zone_count must be 1, 2 or 3, and at least 2 for jobs: a load balancer needs two zones."
  }
}

variable "availability_zones" {
  description = "Names of the zones to use, to avoid one that lacks the Redis node type; null: the first availability_zone_count."
  type        = list(string)
  default     = null

  validation {
    condition     = var.availability_zones == null || try(contains([1, 2, 3], length(distinct(var.availability_zones))) && length(distinct(var.availability_zones)) == length(var.availability_zones) && alltrue([for zone in var.availability_zones : startswith(zone, var.region)]), false)
    error_message = "availability_zones must be 1 to 3 different zones of the region, such as [\"us-east-1b\"]."
  }

  validation {
    condition     = var.service != "jobs" || var.availability_zones == null || try(length(var.availability_zones) >= 2, false)
    error_message = "availability_zones must be 2 or 3 zones for jobs: a load balancer needs two."
  }
}

variable "bucket_name" {
  description = "Name of the bucket to create; null: NAME-ACCOUNT-REGION."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must be 3 to 63 lower-case letters, digits and hyphens (no dots: they break TLS names)."
  }
}

variable "s3_prefix" {
  description = "Prefix of every object (S3_PREFIX). The task may touch nothing outside it."
  type        = string
  default     = "loadtest/"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*/$", var.s3_prefix))
    error_message = "s3_prefix must be letters, digits, _ and -, and end with /."
  }
}

variable "object_expiry_days" {
  description = "Days after which S3 deletes objects under the prefix: what a load test left over, results and archived jobs. At least 2, so that a run of a day does not lose objects. null: 2 for load, 30 for jobs."
  type        = number
  default     = null

  validation {
    condition     = var.object_expiry_days == null || try(var.object_expiry_days >= 2 && floor(var.object_expiry_days) == var.object_expiry_days, false)
    error_message = "object_expiry_days must be a whole number of 2 or more."
  }
}

variable "force_destroy" {
  description = "Let destroy delete a bucket and a registry that are not empty. They contain generated data and images that can be rebuilt."
  type        = bool
  default     = true
}

variable "redis_engine" {
  description = "valkey (20 % cheaper on ElastiCache) or redis."
  type        = string
  default     = "valkey"

  validation {
    condition     = contains(["valkey", "redis"], var.redis_engine)
    error_message = "redis_engine must be valkey or redis."
  }
}

variable "redis_engine_version" {
  description = "Major and minor version of the engine: valkey 7.2, 8.0 or 8.1; redis 7.0 or 7.1."
  type        = string
  default     = "7.2"

  validation {
    condition     = contains(var.redis_engine == "valkey" ? ["7.2", "8.0", "8.1"] : ["7.0", "7.1"], var.redis_engine_version)
    error_message = "redis_engine_version must be 7.2, 8.0 or 8.1 for valkey, 7.0 or 7.1 for redis."
  }
}

variable "redis_node_type" {
  description = "ElastiCache node type. t4g is enough for a few thousand messages a second; choose m7g for a result without CPU credits."
  type        = string
  default     = "cache.t4g.small"

  validation {
    condition     = can(regex("^cache\\.[a-z0-9]+\\.[a-z0-9]+$", var.redis_node_type))
    error_message = "redis_node_type must look like cache.t4g.small."
  }
}

variable "redis_replicas" {
  description = "Replicas of the Redis node, in other zones if there are more than one. null: 0 for load (if the node fails, the queue is lost, which ends a measurement anyway), 1 for jobs."
  type        = number
  default     = null

  validation {
    condition     = var.redis_replicas == null || try(contains(var.service == "jobs" ? [1, 2, 3, 4, 5] : [0, 1, 2, 3, 4, 5], var.redis_replicas), false)
    error_message = "redis_replicas must be 0 to 5, and at least 1 for jobs: a failed node must not lose them."
  }

  validation {
    condition     = try(tonumber(var.settings.JOB_WAIT_REPLICAS), 0) <= coalesce(var.redis_replicas, var.service == "jobs" ? 1 : 0)
    error_message = "redis_replicas must be at least JOB_WAIT_REPLICAS: with fewer, every submission would be refused."
  }
}

variable "image_tag" {
  description = "Tag of the image in the registry, without the appended architecture; set by scripts/deploy. Tags are immutable, so a new image needs a new tag."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,121}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "image_tag must be a registry tag and not latest: a run must say which code it ran."
  }
}

variable "memory_mib" {
  description = "Memory of the task in MiB. With 1 vCPU, Fargate offers 2048 to 8192 in steps of 1024."
  type        = number
  default     = 2048

  validation {
    condition     = contains([2048, 3072, 4096, 5120, 6144, 7168, 8192], var.memory_mib)
    error_message = "memory_mib must be 2048 to 8192 in steps of 1024: the sizes Fargate has for 1 vCPU."
  }
}

variable "cpu_architecture" {
  description = "X86_64, or ARM64 (20 % cheaper). scripts/deploy builds the image for it."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture must be X86_64 or ARM64."
  }
}

variable "worker_task_count" {
  description = "Additional worker-only tasks (ROLES=worker). 0: measure one vCPU."
  type        = number
  default     = 0

  validation {
    condition     = var.worker_task_count >= 0 && var.worker_task_count <= 20 && floor(var.worker_task_count) == var.worker_task_count
    error_message = "worker_task_count must be a whole number from 0 to 20."
  }
}

variable "settings" {
  description = "Settings of the service that differ from their default, such as { WORKER_CONCURRENCY = \"64\" }; the names are in settings.tf."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.settings), keys(local.setting_defaults))) == 0
    error_message = "settings has a name that is not in settings.tf, or one that the infrastructure decides: ${join(", ", setsubtract(keys(var.settings), keys(local.setting_defaults)))}."
  }
}

variable "queue_name" {
  description = "Name of the queue in Redis (QUEUE_NAME), and the dimension `service` of every metric; the other, `role`, is main or workers."
  type        = string
  default     = "loadtest"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", var.queue_name))
    error_message = "queue_name must be 1 to 64 letters, digits, _ and -."
  }
}

variable "shutdown_grace_seconds" {
  description = "Time to finish work in progress after SIGTERM (SHUTDOWN_GRACE_SECONDS). ECS kills the task 15 s later."
  type        = number
  default     = 30

  validation {
    condition     = var.shutdown_grace_seconds >= 1 && var.shutdown_grace_seconds <= 105 && floor(var.shutdown_grace_seconds) == var.shutdown_grace_seconds
    error_message = "shutdown_grace_seconds must be a whole number from 1 to 105: Fargate kills a task 120 s after SIGTERM at the latest."
  }
}

variable "run_hours" {
  description = "Hours after which the scheduled stop ends the run."
  type        = number
  default     = 24

  validation {
    condition     = var.run_hours >= 1 && var.run_hours <= 720 && floor(var.run_hours) == var.run_hours
    error_message = "run_hours must be a whole number from 1 to 720."
  }
}

variable "run_id" {
  description = "A new value starts a new run: run_hours count from that apply. scripts/deploy sets it to the current time."
  type        = string
  default     = "first"
}

variable "log_retention_days" {
  description = "Days for which CloudWatch keeps the log lines."
  type        = number
  default     = 14

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400], var.log_retention_days)
    error_message = "log_retention_days must be a period that CloudWatch offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365 or 400."
  }
}

variable "container_insights" {
  description = "ECS Container Insights. Off: the service measures itself, and these metrics cost extra."
  type        = bool
  default     = false
}

variable "alarm_email" {
  description = "E-mail address for alarms; null: alarms appear only in the console. AWS asks the address for confirmation."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", var.alarm_email))
    error_message = "alarm_email must be an e-mail address."
  }
}

variable "alarm_thresholds" {
  description = "Thresholds of the alarms (load: of the main task; jobs: queue_age_seconds, server_errors_per_minute, dead_letters, memory_percent): an alarm is raised if the rate is below, or another value above. Each must hold for 5 minutes; errors and dead letters for one. rate_per_second null: half of the main task's share of SCHEDULER_MESSAGES_PER_SECOND; in saturate mode only missing data."
  type = object({
    rate_per_second   = optional(number)
    queue_length      = optional(number, 10000)
    errors_per_minute = optional(number, 60)
    dead_letters      = optional(number, 0)
    p99_ms            = optional(number, 10000)
    cpu_percent       = optional(number, 97)
    memory_percent    = optional(number, 85)

    queue_age_seconds        = optional(number, 300)
    server_errors_per_minute = optional(number, 10)
  })
  default = {}

  validation {
    condition     = alltrue([for threshold in values(var.alarm_thresholds) : coalesce(threshold, 0) >= 0]) && var.alarm_thresholds.memory_percent <= 100
    error_message = "alarm_thresholds must be 0 or more, and memory_percent at most 100."
  }
}

variable "wait_for_steady_state" {
  description = "Let apply wait until the service is steady, which it also is after a rollback. scripts/deploy waits itself and tells the two apart."
  type        = bool
  default     = false
}
