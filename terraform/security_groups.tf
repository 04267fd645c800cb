# task ──6379──► redis      task ──443──► S3 (gateway), interface endpoints      nothing ──► task
#
# The health check runs inside the container, so the task has no inbound rule at all. DNS, the credentials endpoint
# and the metadata endpoint are reached over link-local addresses, which security groups do not filter.
#
# EC2 allows only some characters in a description, and no apostrophe (tests/deploy/test_terraform.py has the list).
resource "aws_security_group" "task" {
  name        = "${var.name}-task"
  description = "Tasks of the load test: no inbound rule"
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
