# Cost per day (us-east-1, prices of prices.json). A day at the default 100 messages a second moves about 2.0 TB between
# the task and S3: GET for READ and UPDATE (75 a second), PUT for UPDATE, CREATE and refills (40 a second), 203 KB each.
#
#   S3 through            hours                        traffic             a day
#   gateway endpoint      free                         free                $0        <- always used
#   NAT gateway           $0.045                       $0.045 a GB         $92, and $174 at 190 messages a second
#   interface endpoint    $0.01 a zone                 $0.01 a GB          $20
#
# The other traffic (image pull, log lines, one secret) is small, so only the hours count:
#   private  4 interface endpoints x $0.01 x 24 = $0.96 a zone, no route to the internet
#   public   1 IPv4 address x $0.005 x 24       = $0.12, a route out, nothing in
data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"] # no local zones
  }
}

locals {
  zone_count          = var.availability_zones == null ? coalesce(var.availability_zone_count, local.jobs ? 2 : 1) : length(var.availability_zones)
  zones               = var.availability_zones == null ? data.aws_availability_zones.available.names : var.availability_zones
  public              = var.network == "public"
  interface_endpoints = local.public ? [] : ["ecr.api", "ecr.dkr", "logs", "secretsmanager"]
}

resource "aws_vpc" "this" {
  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true # the interface endpoints take over the services' names

  tags = { Name = var.name }
}

# The default security group of a VPC lets its members talk to each other: remove its rules.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-unused" }
}

resource "aws_subnet" "this" {
  count = local.zone_count

  vpc_id            = aws_vpc.this.id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, count.index)

  tags = { Name = "${var.name}-${var.network}-${count.index}" }
}

resource "aws_route_table" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = var.name }
}

resource "aws_route_table_association" "this" {
  count = local.zone_count

  subnet_id      = aws_subnet.this[count.index].id
  route_table_id = aws_route_table.this.id
}

resource "aws_internet_gateway" "this" {
  count = local.public || local.public_load_balancer ? 1 : 0

  vpc_id = aws_vpc.this.id

  tags = { Name = var.name }
}

resource "aws_route" "internet" {
  count = local.public ? 1 : 0

  route_table_id         = aws_route_table.this.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

# A public load balancer needs a way in from the internet, which private tasks must not have: subnets of its own.
resource "aws_subnet" "load_balancer" {
  count = local.public_load_balancer && !local.public ? local.zone_count : 0

  vpc_id            = aws_vpc.this.id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, 8 + count.index)

  tags = { Name = "${var.name}-load-balancer-${count.index}" }
}

resource "aws_route_table" "load_balancer" {
  count = local.public_load_balancer && !local.public ? 1 : 0

  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-load-balancer" }
}

resource "aws_route_table_association" "load_balancer" {
  count = length(aws_subnet.load_balancer)

  subnet_id      = aws_subnet.load_balancer[count.index].id
  route_table_id = aws_route_table.load_balancer[0].id
}

resource "aws_route" "load_balancer_internet" {
  count = length(aws_route_table.load_balancer)

  route_table_id         = aws_route_table.load_balancer[count.index].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.this.id]
  policy            = data.aws_iam_policy_document.s3_endpoint.json

  tags = { Name = "${var.name}-s3" }
}

# Nothing in the VPC can reach another bucket, even with foreign access keys.
data "aws_iam_policy_document" "s3_endpoint" {
  statement {
    sid       = "LoadTestBucket"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }

  # ECR keeps image layers in its own bucket (AmazonECR/latest/userguide/vpc-endpoints.html).
  statement {
    sid       = "ImageLayers"
    actions   = ["s3:GetObject"]
    resources = ["arn:${data.aws_partition.current.partition}:s3:::prod-${var.region}-starport-layer-bucket/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = toset(local.interface_endpoints)

  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${var.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = aws_subnet.this[*].id
  security_group_ids  = [aws_security_group.endpoints[0].id]
  private_dns_enabled = true

  tags = { Name = "${var.name}-${each.key}" }
}
