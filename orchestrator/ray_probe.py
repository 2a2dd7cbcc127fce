"""`python -m orchestrator.ray_probe ADDRESS`: say as JSON which Ray answers there.

A process of its own, because Ray's client waits for 40 s in C++, deaf to Ctrl-C, and logs there.
"""

import json
import sys

from ray._private.ray_constants import KV_NAMESPACE_CLUSTER
from ray._private.services import canonicalize_bootstrap_address
from ray._private.utils import check_version_info, compute_version_info
from ray._raylet import GcsClient  # type: ignore[attr-defined]


def probe(address: str) -> dict[str, str]:
    """Return the `mismatch` of versions if there is one, or the `error` of the first contact."""
    try:
        client = GcsClient(address=canonicalize_bootstrap_address(address))
        told = client.internal_kv_get(b"CLUSTER_METADATA", namespace=KV_NAMESPACE_CLUSTER)
    except Exception as error:
        return {"error": str(error)}
    if told is None:
        return {}
    cluster = json.loads(told)
    try:
        check_version_info(cluster, "this process")
    except RuntimeError:
        ray, python = compute_version_info()
        there = f"Ray {cluster['ray_version']} on Python {cluster['python_version']}"
        return {"mismatch": f"{there}, and this is Ray {ray} on Python {python}"}
    return {}


if __name__ == "__main__":
    print(json.dumps(probe(sys.argv[1])))
