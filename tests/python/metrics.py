# SPDX-License-Identifier: Apache-2.0 OR MIT
"""usage: metrics.py LIBRARY. Both of prometheus_client's parsers read net_metrics, and it says what net_stats says."""
import ctypes
import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

net = ctypes.CDLL(sys.argv[1])
net.net_init.restype = ctypes.c_void_p
net.net_init.argtypes = [ctypes.c_char_p]
net.net_ingest_raw.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
net.net_flush.argtypes = [ctypes.c_void_p]
net.net_subscribe.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
for read in (net.net_metrics, net.net_stats):
    read.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
net.net_shutdown.argtypes = [ctypes.c_void_p]

bus = net.net_init(b'{"num_shards":3}')
assert bus
subscription = ctypes.c_void_p()
assert net.net_subscribe(bus, b"{}", ctypes.byref(subscription)) == 0
for number in range(1000):
    event = b"%d" % number
    assert net.net_ingest_raw(bus, event, len(event)) == 0
assert net.net_flush(bus) == 0
out = ctypes.create_string_buffer(1 << 16)
assert net.net_metrics(bus, out, len(out)) == len(out.value)
text = out.value.decode()
assert net.net_stats(bus, out, len(out)) > 0
stats = json.loads(out.value)

families = {family.name: family for family in parse_openmetrics(text)}
for family in families.values():
    assert family.name.startswith("libnet_") and family.documentation and family.type != "unknown", family
    assert family.name.endswith(family.unit), family
samples = {}
for family in families.values():
    for sample in family.samples:
        samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
for level, labels, counted in [("", (), stats)] + [
    ("shard_", (("shard", str(shard["shard"])),), shard) for shard in stats["shards"]
]:
    def value(name, *more):
        return samples["libnet_" + level + name, tuple(sorted(labels + more))]

    dropped = {reason: value("dropped_events_total", ("reason", reason)) for reason in counted["dropped"]}
    assert dropped == counted["dropped"]
    for name, key in [
        ("ingested_events_total", "ingested"),
        ("stored_events_total", "stored"),
        ("delivered_events_total", "delivered"),
        ("pending_events", "pending_events"),
        ("pending_bytes", "pending_bytes"),
        ("pending_high_water_events", "pending_events_max"),
        ("batches_total", "batches"),
        ("batch_events_count", "batches"),
        ("batch_events_sum", "stored"),
        ("submit_latency_seconds_count", "batches"),
        ("lanes", "lanes"),
    ]:
        assert value(name) == counted[key], (name, level, value(name), counted)
    sums = value("stored_events_total") + sum(dropped.values()) + value("pending_events")
    assert value("ingested_events_total") == sums
assert samples["libnet_ingested_events_total", ()] == 1000
(lag,) = stats["subscriptions"]
assert lag["lag_events"] == 1000 == sum(s.value for s in families["libnet_subscription_lag_events"].samples)
(build,) = families["libnet_build"].samples
assert build.labels == stats["build"], build

classic = {sample.name: sample.value for family in parse_prometheus(text) for sample in family.samples}
assert classic["libnet_stored_events_total"] == 1000
assert net.net_shutdown(bus) == 0
print(len(families), "families")
