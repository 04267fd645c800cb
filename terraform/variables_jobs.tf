# The job service (service = "jobs"): load balancer, tasks, scaling. The load service ignores all of these.
variable "api_roles" {
  description = "Roles of the API's tasks: api,worker (an instance serves and works, as brief 004 has it), or api (only the workers' tasks work)."
  type        = string
  default     = "api,worker"

  validation {
    condition     = contains(["api,worker", "api"], var.api_roles)
    error_message = "api_roles must be api,worker or api."
  }
}

variable "api_task_min" {
  description = "Fewest API tasks. At least 2, in different zones, so that one may fail."
  type        = number
  default     = 2

  validation {
    condition     = var.api_task_min >= 2 && var.api_task_min <= 20 && floor(var.api_task_min) == var.api_task_min
    error_message = "api_task_min must be a whole number from 2 to 20."
  }
}

variable "api_task_max" {
  description = "Most API tasks."
  type        = number
  default     = 4

  validation {
    condition     = var.api_task_max >= var.api_task_min && var.api_task_max <= 20 && floor(var.api_task_max) == var.api_task_max
    error_message = "api_task_max must be a whole number from api_task_min to 20."
  }
}

variable "api_cpu_target_percent" {
  description = "Average CPU of the API's tasks that scaling aims at."
  type        = number
  default     = 70

  validation {
    condition     = var.api_cpu_target_percent >= 10 && var.api_cpu_target_percent <= 90
    error_message = "api_cpu_target_percent must be a number from 10 to 90."
  }
}

variable "worker_task_min" {
  description = "Fewest worker tasks. At least 1, because target tracking multiplies the present number and so cannot leave 0."
  type        = number
  default     = 1

  validation {
    condition     = var.worker_task_min >= 1 && var.worker_task_min <= 50 && floor(var.worker_task_min) == var.worker_task_min
    error_message = "worker_task_min must be a whole number from 1 to 50."
  }
}

variable "worker_task_max" {
  description = "Most worker tasks."
  type        = number
  default     = 4

  validation {
    condition     = var.worker_task_max >= var.worker_task_min && var.worker_task_max <= 50 && floor(var.worker_task_max) == var.worker_task_max
    error_message = "worker_task_max must be a whole number from worker_task_min to 50."
  }
}

variable "backlog_per_worker_task" {
  description = "Queued jobs for each worker task that scaling aims at: the acceptable wait in seconds times the jobs that a task does a second."
  type        = number
  default     = 100

  validation {
    condition     = var.backlog_per_worker_task >= 1
    error_message = "backlog_per_worker_task must be 1 or more."
  }
}

variable "scale_out_cooldown_seconds" {
  description = "Time after adding tasks before more are added. A new task takes about a minute to help."
  type        = number
  default     = 60

  validation {
    condition     = var.scale_out_cooldown_seconds >= 0 && var.scale_out_cooldown_seconds <= 3600 && floor(var.scale_out_cooldown_seconds) == var.scale_out_cooldown_seconds
    error_message = "scale_out_cooldown_seconds must be a whole number from 0 to 3600."
  }
}

variable "scale_in_cooldown_seconds" {
  description = "Time after removing a task before another is removed."
  type        = number
  default     = 300

  validation {
    condition     = var.scale_in_cooldown_seconds >= 0 && var.scale_in_cooldown_seconds <= 3600 && floor(var.scale_in_cooldown_seconds) == var.scale_in_cooldown_seconds
    error_message = "scale_in_cooldown_seconds must be a whole number from 0 to 3600."
  }
}

variable "load_balancer" {
  description = "public: reached from the internet, as far as api_ingress_cidrs allows; internal: from the VPC and what is connected to it."
  type        = string
  default     = "public"

  validation {
    condition     = contains(["public", "internal"], var.load_balancer)
    error_message = "load_balancer must be public or internal."
  }
}

variable "certificate_arn" {
  description = "ARN of an ACM certificate in the region: HTTPS on 443. null: plain HTTP on 80."
  type        = string
  default     = null

  validation {
    condition     = var.certificate_arn == null || can(regex("^arn:aws[a-z-]*:acm:${var.region}:[0-9]{12}:certificate/[0-9a-f-]+$", var.certificate_arn))
    error_message = "certificate_arn must be the ARN of an ACM certificate in the region."
  }
}

variable "api_ingress_cidrs" {
  description = "Addresses that may reach the load balancer."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.api_ingress_cidrs) > 0 && alltrue([for range in var.api_ingress_cidrs : can(cidrhost(range, 0)) && can(regex("^[0-9.]+/[0-9]+$", range))])
    error_message = "api_ingress_cidrs must be one or more IPv4 ranges, such as [\"203.0.113.0/24\"]."
  }

  validation {
    condition     = var.service != "jobs" || var.certificate_arn != null || var.load_balancer == "internal" || !contains(var.api_ingress_cidrs, "0.0.0.0/0")
    error_message = "API_TOKEN would cross the internet in clear text: set certificate_arn, narrow api_ingress_cidrs, or set load_balancer = \"internal\"."
  }
}

variable "health_check_path" {
  description = "What the load balancer asks each API task: its readiness, which a draining task and one without Redis deny."
  type        = string
  default     = "/api/jobs/health"

  validation {
    condition     = can(regex("^/[!-~]*$", var.health_check_path))
    error_message = "health_check_path must begin with / and have no blanks."
  }
}

variable "health_check_interval_seconds" {
  description = "Seconds between two health checks of a task."
  type        = number
  default     = 30

  validation {
    condition     = var.health_check_interval_seconds >= 6 && var.health_check_interval_seconds <= 300 && floor(var.health_check_interval_seconds) == var.health_check_interval_seconds
    error_message = "health_check_interval_seconds must be a whole number from 6 to 300: more than the timeout of 5 s."
  }
}

variable "health_check_failures" {
  description = "Failed checks in a row before a task gets no more requests and ECS replaces it. With 30 s, 5 outlast a failover of Redis, which all tasks feel at once."
  type        = number
  default     = 5

  validation {
    condition     = var.health_check_failures >= 2 && var.health_check_failures <= 10 && floor(var.health_check_failures) == var.health_check_failures
    error_message = "health_check_failures must be a whole number from 2 to 10."
  }
}

variable "deregistration_delay_seconds" {
  description = "Time for the requests in progress of a task that leaves, before ECS sends SIGTERM. At least 60, the longest wait of a long poll."
  type        = number
  default     = 65

  validation {
    condition     = var.deregistration_delay_seconds >= 60 && var.deregistration_delay_seconds <= 3600 && floor(var.deregistration_delay_seconds) == var.deregistration_delay_seconds
    error_message = "deregistration_delay_seconds must be a whole number from 60 to 3600: a long poll lasts 60 s."
  }
}

variable "load_balancer_idle_seconds" {
  description = "The load balancer closes a connection after this time without data. Above 60, the longest wait of a long poll; below 75, after which the API closes idle connections: the other way round, it could close one just when a request arrives."
  type        = number
  default     = 70

  validation {
    condition     = var.load_balancer_idle_seconds > 60 && var.load_balancer_idle_seconds < 75 && floor(var.load_balancer_idle_seconds) == var.load_balancer_idle_seconds
    error_message = "load_balancer_idle_seconds must be a whole number from 61 to 74: longer than a long poll (60 s), shorter than the API's keep-alive (75 s)."
  }
}

variable "expected_jobs_per_second" {
  description = "Average rate for the estimate of costs; nothing else depends on it."
  type        = number
  default     = 10

  validation {
    condition     = var.expected_jobs_per_second >= 0
    error_message = "expected_jobs_per_second must be 0 or more."
  }
}
