"""Two nodes of Ray with one core each, on 127.0.0.1: tells its address and processes, takes the second away when told, ends with its input"""
import json
import os
import sys
import tempfile
from pathlib import Path

from fea.cluster.tasks import import_ray, start_patiently


def main()->None:
    "Run until the input ends"
    import_ray()
    from ray._private.utils import get_ray_address_file
    from ray.cluster_utils import Cluster
    Path(get_ray_address_file(None)).parent.mkdir(parents=True, exist_ok=True) # a head in a folder of its own writes there too, and does not make it
    options = {'num_cpus': 1, 'object_store_memory': 80_000_000, 'include_dashboard': False, 'node_ip_address': '127.0.0.1'}
    with tempfile.TemporaryDirectory(prefix='ray', dir='/tmp', ignore_cleanup_errors=True) as temp: # sockets need a short path
        cluster = start_patiently(lambda: Cluster(initialize_head=True, head_node_args=options | {'temp_dir': temp}))
        second = start_patiently(lambda: cluster.add_node(**options))
        raylets = [node.all_processes['raylet'][0].process.pid for node in (cluster.head_node, second)]
        print(json.dumps({'address': cluster.address, 'raylets': raylets}), flush=True)
        for line in sys.stdin:
            if line.strip() == 'remove': cluster.remove_node(second, allow_graceful=False)
        cluster.shutdown()


if __name__ == '__main__':
    os.environ['RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER'] = '0'
    main()
