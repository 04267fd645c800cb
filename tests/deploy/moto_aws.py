"""moto's server with the gaps mended that a Terraform life cycle of this module falls into.

Run as a program: ``python moto_aws.py -H 127.0.0.1 -p PORT``, like ``python -m moto.server``. What is
added behaves as the ElastiCache and ECS API references say; nothing else of moto is touched:

- the member clusters of a replication group exist, as many as NumCacheClusters says, and go with it;
- deleting a replication group ends (moto leaves it in ``deleting`` for ever);
- cache parameter groups, and DeleteCacheSubnetGroup;
- a service reports its AvailabilityZoneRebalancing;
- a service's deployment follows each update, and is completed at once;
- FilterLogEvents heeds logStreamNamePrefix;
- a security group rule keeps its description, whatever it refers to.
"""

import inspect
import json
import os
import re
from typing import Any

from moto.core.responses import ActionResult, EmptyResult, PaginatedResult
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ecs.models import EC2ContainerServiceBackend, Service
from moto.elasticache.exceptions import ElastiCacheException
from moto.elasticache.models import ElastiCacheBackend, ReplicationGroup
from moto.elasticache.responses import ElastiCacheResponse
from moto.logs.responses import LogsResponse
from moto.server import main

# As Any: these classes are changed here on purpose.
Backend: Any = ElastiCacheBackend
Group: Any = ReplicationGroup
Response: Any = ElastiCacheResponse
Rule: Any = SecurityGroupRule
Ecs: Any = EC2ContainerServiceBackend
EcsService: Any = Service
Logs: Any = LogsResponse


def mend_member_clusters() -> None:
    """Create, count and delete the member clusters of replication groups."""
    name_members = Group._set_node_members_clusters_disabled
    create, delete = Backend.create_replication_group, Backend.delete_replication_group

    def all_members(self: Any, *, num_cache_clusters: int, replicas_per_node_group: int, **rest: Any) -> None:
        name_members(
            self,
            num_cache_clusters=num_cache_clusters,
            replicas_per_node_group=replicas_per_node_group or num_cache_clusters - 1,
            **rest,
        )

    def create_with_members(self: Any, **wanted: Any) -> Any:
        group = create(self, **wanted)
        fields = {name: wanted.get(name) for name in inspect.signature(self.create_cache_cluster).parameters}
        for member in group.member_clusters:
            cluster = self.create_cache_cluster(**{**fields, "cache_cluster_id": member})
            cluster.num_cache_nodes = 1
            cluster.replication_group_id = group.replication_group_id
            cluster.transit_encryption_mode = group.transit_encryption_mode
            cluster.at_rest_encryption_enabled = group.at_rest_encryption_enabled
            cluster.cache_parameter_group = {"CacheParameterGroupName": wanted["cache_parameter_group_name"]}
            cluster.security_groups = [
                {"SecurityGroupId": name, "Status": "active"} for name in wanted["security_group_ids"] or []
            ]
        return group

    def delete_with_members(self: Any, replication_group_id: str, retain_primary_cluster: bool | None) -> Any:
        group = delete(self, replication_group_id, retain_primary_cluster)
        for member in group.member_clusters:
            self.cache_clusters.pop(member, None)
        return self.replication_groups.pop(replication_group_id)

    Group._set_node_members_clusters_disabled = all_members
    Backend.create_replication_group = create_with_members
    Backend.delete_replication_group = delete_with_members


class ParameterGroupNotFound(ElastiCacheException):
    """CacheParameterGroupNotFoundFault: what Terraform waits for after a deletion."""

    code = "CacheParameterGroupNotFoundFault"

    def __init__(self, name: str) -> None:
        super().__init__(f"CacheParameterGroup {name} not found.")


def mend_parameter_groups() -> None:
    """Add the five actions on cache parameter groups, kept in a dictionary on each region's backend."""
    begin = Backend.__init__

    def begin_with_parameter_groups(self: Any, region_name: str, account_id: str) -> None:
        begin(self, region_name, account_id)
        self.parameter_groups = {}
        self.arn_regex = re.compile(self.arn_regex.pattern.replace("user", "user|parametergroup"))

    def groups(response: Any) -> Any:
        return response.elasticache_backend.parameter_groups

    def find(response: Any) -> Any:
        name = response._get_param("CacheParameterGroupName")
        if name not in groups(response):
            raise ParameterGroupNotFound(name)
        return groups(response)[name]

    def create_cache_parameter_group(self: Any) -> ActionResult:
        name = self._get_param("CacheParameterGroupName")
        backend = self.elasticache_backend
        arn = f"arn:aws:elasticache:{backend.region_name}:{backend.account_id}:parametergroup:{name}"
        group = {
            "CacheParameterGroupName": name,
            "CacheParameterGroupFamily": self._get_param("CacheParameterGroupFamily"),
            "Description": self._get_param("Description"),
            "ARN": arn,
            "parameters": {},
        }
        groups(self)[name] = group
        backend.tagging_service.tag_resource(arn, self._get_param("Tags", []))
        return ActionResult({"CacheParameterGroup": group})

    def describe_cache_parameter_groups(self: Any) -> ActionResult:
        return PaginatedResult({"CacheParameterGroups": [find(self)]})

    def modify_cache_parameter_group(self: Any) -> ActionResult:
        group = find(self)
        for change in self._get_param("ParameterNameValues", []):
            group["parameters"][change["ParameterName"]] = change["ParameterValue"]
        return ActionResult({"CacheParameterGroupName": group["CacheParameterGroupName"]})

    def describe_cache_parameters(self: Any) -> ActionResult:
        pairs = find(self)["parameters"].items()
        rows = [{"ParameterName": name, "ParameterValue": value, "Source": "user"} for name, value in pairs]
        return PaginatedResult({"Parameters": rows, "CacheNodeTypeSpecificParameters": []})

    def delete_cache_parameter_group(self: Any) -> ActionResult:
        del groups(self)[find(self)["CacheParameterGroupName"]]
        return EmptyResult()

    actions = (
        create_cache_parameter_group,
        describe_cache_parameter_groups,
        modify_cache_parameter_group,
        describe_cache_parameters,
        delete_cache_parameter_group,
    )
    Backend.__init__ = begin_with_parameter_groups
    for action in actions:
        setattr(Response, action.__name__, action)


def mend_subnet_groups() -> None:
    """Add DeleteCacheSubnetGroup."""

    def delete_cache_subnet_group(self: Any) -> ActionResult:
        backend = self.elasticache_backend
        name = self._get_param("CacheSubnetGroupName")
        backend.describe_cache_subnet_groups(name)  # raises when there is none
        del backend.cache_subnet_groups[name]
        return EmptyResult()

    Response.delete_cache_subnet_group = delete_cache_subnet_group


def mend_services() -> None:
    """Report what this module asks for and moto does not keep: zone rebalancing, the updated deployment."""
    EcsService.availability_zone_rebalancing = "DISABLED"
    update = Ecs.update_service

    def update_with_deployment(self: Any, service_properties: dict[str, Any]) -> Any:
        service = update(self, service_properties)
        (deployment,) = service.deployments
        deployment |= {"taskDefinition": service.task_definition, "rolloutState": "COMPLETED"}
        deployment |= {"desiredCount": service.desired_count, "runningCount": service.running_count}
        return service

    Ecs.update_service = update_with_deployment


def mend_security_group_rules() -> None:
    """Keep the description of rules that name a group or a prefix list, not only of address ranges."""
    begin = Rule.__init__

    def begin_with_description(self: Any, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        bound = inspect.signature(begin).bind(self, *arguments, **named).arguments
        parts = [bound.get(name) or {} for name in ("ip_range", "source_group", "prefix_list_id")]
        self.kept_description = next((part["Description"] for part in parts if "Description" in part), None)

    Rule.__init__ = begin_with_description
    Rule.description = property(lambda self: self.kept_description)


def mend_log_filter() -> None:
    """Heed the prefix that FilterLogEvents is given."""
    answer = Logs.filter_log_events

    def filter_log_events(self: Any) -> Any:
        prefix = self._get_param("logStreamNamePrefix")
        if prefix is None:
            return answer(self)
        group = self._get_param("logGroupName")
        names = [name for name in self.logs_backend.groups[group].streams if name.startswith(prefix)]
        asked = [self._get_param(name) for name in ("startTime", "endTime", "limit", "nextToken")]
        rows = (
            self.logs_backend.filter_log_events(group, names, *asked, "", False) if names else ([], None, [])
        )
        return json.dumps(dict(zip(("events", "nextToken", "searchedLogStreams"), rows, strict=True)))

    Logs.filter_log_events = filter_log_events


if __name__ == "__main__":
    os.environ["MOTO_ECS_SERVICE_RUNNING"] = "1"  # a service is steady at once
    mend_member_clusters()
    mend_parameter_groups()
    mend_subnet_groups()
    mend_services()
    mend_security_group_rules()
    mend_log_filter()
    main()
