"""The balancers that there are."""

from __future__ import annotations

from collections.abc import Mapping

from nbops.nocobase.balancers.api import Balancer
from nbops.nocobase.balancers.external import External
from nbops.nocobase.balancers.haproxy import HAProxy
from nbops.nocobase.balancers.nginx import Nginx
from nbops.nocobase.kinds import choose

_BUILT: Mapping[str, Balancer] = {"nginx": Nginx(), "haproxy": HAProxy(), "external": External()}


def balancer(kind: str) -> Balancer:
    """The balancer of this kind. Raises RefusedError when there is none."""
    return choose("balancer.kind", kind, _BUILT)
