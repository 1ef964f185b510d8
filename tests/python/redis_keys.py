# SPDX-License-Identifier: Apache-2.0 OR MIT
"""usage: redis_keys.py LIBRARY PORT. An entry has the field `k` with the routing key exactly where one was given, on every
way into the bus that the C ABI has; a key and an event that are too large together are refused."""
import ctypes
import json
import sys

import redis

TOO_LARGE = -20
LARGE = 200_000


class Claim(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("len", ctypes.c_size_t), ("reserved", ctypes.c_uint64 * 4)]


net = ctypes.CDLL(sys.argv[1])
handle, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
net.net_init.restype, net.net_init.argtypes = handle, [text]
net.net_ingest.argtypes = net.net_ingest_raw.argtypes = [handle, text, size]
net.net_ingest_raw_ex.argtypes = [handle, text, size, handle]
net.net_ingest_keyed.argtypes = [handle, text, size, text, size, handle]
net.net_ingest_batch.argtypes = [handle, text]
net.net_claim.argtypes = [handle, text, size, size, ctypes.POINTER(Claim)]
net.net_commit.argtypes = [ctypes.POINTER(Claim), handle]
net.net_producer_open.argtypes = [handle, ctypes.POINTER(handle)]
net.net_producer_ingest.argtypes = [handle, text, size, text, size, ctypes.c_int, handle]
net.net_producer_close.argtypes = net.net_flush.argtypes = net.net_shutdown.argtypes = [handle]
net.net_last_error.restype = text
net.net_poll.argtypes = [handle, text, text, size]

server = redis.Redis(port=int(sys.argv[2]))
url = f"redis://127.0.0.1:{sys.argv[2]}"
config = {"num_shards": 2, "max_event_bytes": 1 << 18, "redis": {"url": url, "prefix": "keys"}}
bus = net.net_init(json.dumps(config).encode())
assert bus
expected = {}


def event(key):
    payload = b'{"number":%d}' % len(expected)
    expected[payload] = key
    return payload


def keyed(key, payload):
    return net.net_ingest_keyed(bus, key, len(key or b""), payload, len(payload), None)


def claimed(key, payload):
    claim = Claim()
    code = net.net_claim(bus, key, len(key), len(payload), ctypes.byref(claim))
    if code != 0:
        return code
    ctypes.memmove(claim.data, payload, len(payload))
    return net.net_commit(ctypes.byref(claim), None)


# Without a key.
for publish in (net.net_ingest, net.net_ingest_raw):
    payload = event(None)
    assert publish(bus, payload, len(payload)) == 0
payload = event(None)
assert net.net_ingest_raw_ex(bus, payload, len(payload), None) == 0
assert net.net_ingest_batch(bus, b"[" + event(None) + b"," + event(None) + b"]") == 2
assert keyed(None, event(None)) == 0
# With one: any bytes, an empty one, a large one.
binary = bytes(range(256))
for key in (b"customer-7", binary, b"\r\n$1\r\n", b"", b"k" * LARGE):
    assert keyed(key, event(key)) == 0
for key in (b"customer-7", binary, b"k" * LARGE):
    assert claimed(key, event(key)) == 0
producer = handle()
assert net.net_producer_open(bus, ctypes.byref(producer)) == 0
for key in (b"customer-7", b"", None):
    payload = event(key)
    assert net.net_producer_ingest(producer, key, len(key or b""), payload, len(payload), 1000, None) == 0
assert net.net_producer_close(producer) == 0
# A large event, with a key and without.
for key in (None, b"customer-7"):
    payload = b'"' + b"x" * LARGE + (b'"' if key else b'y"')
    expected[payload] = key
    assert keyed(key, payload) == 0

# Together too large, though neither is: nothing of it is there afterwards.
for publish in (keyed, claimed):
    assert publish(b"k" * LARGE, b"x" * LARGE) == TOO_LARGE
    assert b"400000 bytes with its key" in net.net_last_error(), net.net_last_error()

assert net.net_flush(bus) == 0
seen = {}
for stream in ("keys:shard:0", "keys:shard:1"):
    for _, fields in server.xrange(stream):
        names = [b"d", b"t", b"dedup_id"] if expected[fields[b"d"]] is None else [b"d", b"t", b"k", b"dedup_id"]
        assert list(fields) == names, list(fields)
        seen[fields[b"d"]] = fields.get(b"k")
assert seen == expected

# A reader gets the event alone.
out = ctypes.create_string_buffer(1 << 22)
assert net.net_poll(bus, b'{"limit":1000}', out, len(out)) >= 0
events = json.loads(out.value)["events"]
assert sorted(json.dumps(one, separators=(",", ":")).encode() for one in events) == sorted(expected), events
assert net.net_shutdown(bus) == 0
print(len(expected), "events")
