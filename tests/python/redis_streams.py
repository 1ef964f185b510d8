# SPDX-License-Identifier: Apache-2.0 OR MIT
"""usage: redis_streams.py LIBRARY PORT. redis-py reads what a bus of four shards writes, on its own and as a consumer group;
the C ABI's filter knows each entry's identity; and the bus passes over an entry that no bus has written."""
import ctypes
import json
import sys

import redis

SHARDS, EVENTS, WITH_MARK = 4, 2000, b"\xc3\xa9\r\n"

net = ctypes.CDLL(sys.argv[1])
net.net_init.restype = ctypes.c_void_p
net.net_init.argtypes = [ctypes.c_char_p]
net.net_ingest_raw.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
net.net_flush.argtypes = [ctypes.c_void_p]
net.net_shutdown.argtypes = [ctypes.c_void_p]
net.net_poll.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
net.net_stats.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
net.net_redis_dedup_new.restype = ctypes.c_void_p
net.net_redis_dedup_new.argtypes = [ctypes.c_size_t]
net.net_redis_dedup_is_duplicate.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
net.net_redis_dedup_len.restype = ctypes.c_size_t
net.net_redis_dedup_len.argtypes = [ctypes.c_void_p]
net.net_redis_dedup_free.argtypes = [ctypes.c_void_p]

server = redis.Redis(port=int(sys.argv[2]))
url = f"redis://127.0.0.1:{sys.argv[2]}"
bus = net.net_init(json.dumps({"num_shards": SHARDS, "redis": {"url": url, "prefix": "py"}}).encode())
assert bus
streams = [f"py:shard:{shard}" for shard in range(SHARDS)]
published = [b"%d" % number + WITH_MARK for number in range(EVENTS)]
for event in published:
    assert net.net_ingest_raw(bus, event, len(event)) == 0
assert net.net_flush(bus) == 0
assert server.hget("py:meta", "num_streams") == b"%d" % SHARDS

# On its own: every event once, its bytes as they were, in the order of its shard, named by its place there.
seen, producers = [], set()
for shard, stream in enumerate(streams):
    last_number, last_sequence, last_stamp = -1, 0, 0
    for _, fields in server.xrange(stream):
        assert set(fields) == {b"d", b"t", b"dedup_id"}, fields
        producer, id_shard, start, index = fields[b"dedup_id"].split(b":")
        number, sequence, stamp = int(fields[b"d"][: -len(WITH_MARK)]), int(start) + int(index), int(fields[b"t"])
        assert len(producer) == 16 and int(id_shard) == shard
        assert number > last_number and sequence == last_sequence + 1 and stamp > last_stamp, fields
        last_number, last_sequence, last_stamp = number, sequence, stamp
        producers.add(producer)
        seen.append(fields[b"d"])
assert sorted(seen) == sorted(published) and len(producers) == 1

# As a group: what was read and not acknowledged is given again, and the filter knows it.
filter = net.net_redis_dedup_new(EVENTS)
for stream in streams:
    server.xgroup_create(stream, "group", id="0")


def read(after):
    entries = 0
    for stream, given in server.xreadgroup("group", "one", {stream: after for stream in streams}, count=EVENTS):
        for entry, fields in given:
            duplicate = net.net_redis_dedup_is_duplicate(filter, fields[b"dedup_id"])
            assert duplicate == (after == "0"), fields
            if after == "0":
                assert server.xack(stream, "group", entry) == 1
            entries += 1
    return entries


assert read(">") == EVENTS and net.net_redis_dedup_len(filter) == EVENTS
assert read("0") == EVENTS and net.net_redis_dedup_len(filter) == EVENTS
assert all(server.xpending(stream, "group")["pending"] == 0 for stream in streams)
net.net_redis_dedup_free(filter)

# An entry of somebody else's: the bus reads past it, and counts it.
server.xadd(streams[0], {"temperature": "21"})
after_it = b"after" + WITH_MARK
assert net.net_ingest_raw(bus, after_it, len(after_it)) == 0 and net.net_flush(bus) == 0
out, request, polled = ctypes.create_string_buffer(1 << 20), {"limit": 1000}, 0
while True:
    assert net.net_poll(bus, json.dumps(request).encode(), out, len(out)) >= 0
    page = json.loads(out.value)
    polled += len(page["events"])
    request["cursor"] = page["next_id"]
    if not page["has_more"]:
        break
assert polled == EVENTS + 1, polled
assert net.net_stats(bus, out, len(out)) > 0
counts = json.loads(out.value)["adapter_counts"]
assert counts["passed_over"] == 1, counts
assert net.net_shutdown(bus) == 0
print(EVENTS, "events")
