# task ──6379──► redis      task ──443──► S3 (gateway), interface endpoints      nothing ──► task
#
# jobs only: api_ingress_cidrs ──443 or 80──► load balancer ──API_PORT──► task
#
# The container's health check runs inside it, so only the load balancer needs an inbound rule of the task. DNS, the credentials
# endpoint and the metadata endpoint are reached over link-local addresses, which security groups do not filter.
#
# EC2 allows only some characters in a description, and no apostrophe (tests/deploy/test_terraform.py has the list).
resource "aws_security_group" "task" {
  name        = "${var.name}-task"
  description = "Tasks: only the load balancer of the job service reaches them"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-task" }
}

resource "aws_vpc_security_group_egress_rule" "task_to_redis" {
  security_group_id            = aws_security_group.task.id
  description                  = "Redis over TLS"
  ip_protocol                  = "tcp"
  from_port                    = local.redis_port
  to_port                      = local.redis_port
  referenced_security_group_id = aws_security_group.redis.id
}

resource "aws_vpc_security_group_egress_rule" "task_to_s3" {
  security_group_id = aws_security_group.task.id
  description       = "S3 through the gateway endpoint, and image layers"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
}

resource "aws_vpc_security_group_egress_rule" "task_to_endpoints" {
  count = local.public ? 0 : 1

  security_group_id            = aws_security_group.task.id
  description                  = "Registry, logs and secrets through the interface endpoints"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = aws_security_group.endpoints[0].id
}

resource "aws_vpc_security_group_egress_rule" "task_to_internet" {
  count = local.public ? 1 : 0

  security_group_id = aws_security_group.task.id
  description       = "Registry, logs and secrets at their public addresses"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_security_group" "redis" {
  name        = "${var.name}-redis"
  description = "Redis: reached by the tasks only"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-redis" }
}

resource "aws_vpc_security_group_ingress_rule" "redis_from_task" {
  security_group_id            = aws_security_group.redis.id
  description                  = "The tasks"
  ip_protocol                  = "tcp"
  from_port                    = local.redis_port
  to_port                      = local.redis_port
  referenced_security_group_id = aws_security_group.task.id
}

resource "aws_security_group" "endpoints" {
  count = local.public ? 0 : 1

  name        = "${var.name}-endpoints"
  description = "Interface endpoints: reached by the tasks only"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints_from_task" {
  count = local.public ? 0 : 1

  security_group_id            = aws_security_group.endpoints[0].id
  description                  = "The tasks"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = aws_security_group.task.id
}

# http-fetch jobs may ask for plain HTTP; the service itself refuses addresses that are not public (HTTP_FETCH_ALLOW).
resource "aws_vpc_security_group_egress_rule" "task_to_web" {
  count = local.public && local.jobs ? 1 : 0

  security_group_id = aws_security_group.task.id
  description       = "Plain HTTP of http-fetch jobs"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_security_group" "load_balancer" {
  count = local.jobs ? 1 : 0

  name        = "${var.name}-load-balancer"
  description = "Load balancer of the job service"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-load-balancer" }
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer_from_clients" {
  for_each = local.jobs ? toset(var.api_ingress_cidrs) : []

  security_group_id = aws_security_group.load_balancer[0].id
  description       = "Clients"
  ip_protocol       = "tcp"
  from_port         = local.listener_port
  to_port           = local.listener_port
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_egress_rule" "load_balancer_to_task" {
  count = local.jobs ? 1 : 0

  security_group_id            = aws_security_group.load_balancer[0].id
  description                  = "Requests and health checks"
  ip_protocol                  = "tcp"
  from_port                    = local.api_port
  to_port                      = local.api_port
  referenced_security_group_id = aws_security_group.task.id
}

resource "aws_vpc_security_group_ingress_rule" "task_from_load_balancer" {
  count = local.jobs ? 1 : 0

  security_group_id            = aws_security_group.task.id
  description                  = "The load balancer"
  ip_protocol                  = "tcp"
  from_port                    = local.api_port
  to_port                      = local.api_port
  referenced_security_group_id = aws_security_group.load_balancer[0].id
}
