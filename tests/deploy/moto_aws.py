"""moto's server with the gaps mended that a Terraform life cycle of this module falls into.

Run as a program: ``python moto_aws.py -H 127.0.0.1 -p PORT``, like ``python -m moto.server``. What is
added behaves as the ElastiCache and ECS API references say; nothing else of moto is touched:

- the member clusters of a replication group exist, as many as NumCacheClusters says, and go with it;
- deleting a replication group ends (moto leaves it in ``deleting`` for ever);
- cache parameter groups, and DeleteCacheSubnetGroup;
- a service reports its zone rebalancing, deployment configuration and health check grace period;
- a service runs as many tasks as are wanted, and its deployment follows each update and is completed at once;
- ListTagsForResource of scalable targets;
- FilterLogEvents heeds logStreamNamePrefix;
- a security group rule keeps its description, whatever it refers to.
"""

import inspect
import json
import re
from typing import Any, cast

from moto.applicationautoscaling.models import ApplicationAutoscalingBackend
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult, PaginatedResult
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ecs.models import EC2ContainerServiceBackend
from moto.ecs.responses import EC2ContainerServiceResponse
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
EcsResponse: Any = EC2ContainerServiceResponse
Scaling: Any = ApplicationAutoScalingResponse
ScalingBackend: Any = ApplicationAutoscalingBackend
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
    """Keep what this module asks for and moto forgets; run as many tasks as wanted at once."""
    create, update = EcsResponse.create_service, Ecs.update_service
    kept = {
        "availability_zone_rebalancing": "availabilityZoneRebalancing",
        "deployment_configuration": "deploymentConfiguration",
        "health_check_grace_period_seconds": "healthCheckGracePeriodSeconds",
    }

    def settle(service: Any) -> None:
        service.running_count, service.pending_count = service.desired_count, 0
        (deployment,) = service.deployments
        deployment |= {"taskDefinition": service.task_definition, "rolloutState": "COMPLETED"}
        deployment |= {"desiredCount": service.desired_count, "runningCount": service.running_count}
        deployment["pendingCount"] = 0

    def create_with_everything(self: Any) -> ActionResult:
        answer = create(self)
        service = answer.result["service"]
        for attribute, parameter in kept.items():
            setattr(service, attribute, self._get_param(parameter))
        settle(service)
        return cast(ActionResult, answer)

    def update_with_everything(self: Any, service_properties: dict[str, Any]) -> Any:
        service = update(self, service_properties)
        for attribute in kept:
            if attribute in service_properties:
                setattr(service, attribute, service_properties[attribute])
        settle(service)
        return service

    EcsResponse.create_service = create_with_everything
    Ecs.update_service = update_with_everything


def mend_scaling_tags() -> None:
    """Add ListTagsForResource of scalable targets, and keep the tags that they are registered with."""
    register = Scaling.register_scalable_target

    def register_with_tags(self: Any) -> str:
        answer: str = register(self)
        arn = json.loads(answer)["ScalableTargetARN"]
        self.applicationautoscaling_backend.kept_tags[arn] = self._get_param("Tags") or {}
        return answer

    def list_tags_for_resource(self: Any) -> str:
        kept = self.applicationautoscaling_backend.kept_tags
        return json.dumps({"Tags": kept.get(self._get_param("ResourceARN"), {})})

    begin = ScalingBackend.__init__

    def begin_with_tags(self: Any, region_name: str, account_id: str) -> None:
        begin(self, region_name, account_id)
        self.kept_tags = {}

    ScalingBackend.__init__ = begin_with_tags
    Scaling.register_scalable_target = register_with_tags
    Scaling.list_tags_for_resource = list_tags_for_resource


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
    mend_member_clusters()
    mend_parameter_groups()
    mend_subnet_groups()
    mend_services()
    mend_scaling_tags()
    mend_security_group_rules()
    mend_log_filter()
    main()
