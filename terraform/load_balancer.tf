# The job service's way in. TLS ends here; inside the VPC the load balancer speaks HTTP to the tasks' API port.
#
#   client ──443──► load balancer (one address a zone) ──8000──► API tasks
#
# The order of a task's end: the target is deregistered and gets no new request, requests in progress have
# deregistration_delay_seconds, then ECS sends SIGTERM; the task drains for shutdown_grace_seconds and is killed 15 s later.
locals {
  public_load_balancer = local.jobs && var.load_balancer == "public"
  listener_port        = var.certificate_arn == null ? 80 : 443
  api_port             = tonumber(local.environment.API_PORT)
  api_url              = local.jobs ? "${var.certificate_arn == null ? "http" : "https"}://${aws_lb.this[0].dns_name}" : null
}

resource "aws_lb" "this" {
  count = local.jobs ? 1 : 0

  name                       = var.name
  load_balancer_type         = "application"
  internal                   = !local.public_load_balancer
  subnets                    = local.public_load_balancer && !local.public ? aws_subnet.load_balancer[*].id : aws_subnet.this[*].id
  security_groups            = [aws_security_group.load_balancer[0].id]
  idle_timeout               = var.load_balancer_idle_seconds
  drop_invalid_header_fields = true
}

resource "aws_lb_target_group" "api" {
  count = local.jobs ? 1 : 0

  name                          = "${var.name}-api"
  vpc_id                        = aws_vpc.this.id
  target_type                   = "ip"
  protocol                      = "HTTP"
  port                          = local.api_port
  deregistration_delay          = var.deregistration_delay_seconds
  load_balancing_algorithm_type = "least_outstanding_requests" # long polls occupy a task much longer than submissions

  health_check {
    path                = var.health_check_path
    matcher             = "200"
    interval            = var.health_check_interval_seconds
    timeout             = 5
    healthy_threshold   = 2 # a new target is used after its first passed check
    unhealthy_threshold = var.health_check_failures
  }
}

# With a certificate nothing listens on 80: a redirect would answer after the token has crossed the network in clear text.
resource "aws_lb_listener" "api" {
  count = local.jobs ? 1 : 0

  load_balancer_arn = aws_lb.this[0].arn
  protocol          = var.certificate_arn == null ? "HTTP" : "HTTPS"
  port              = local.listener_port
  certificate_arn   = var.certificate_arn
  ssl_policy        = var.certificate_arn == null ? null : "ELBSecurityPolicy-TLS13-1-2-2021-06"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.api[0].arn
  }
}
