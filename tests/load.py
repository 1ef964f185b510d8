# SPDX-License-Identifier: Apache-2.0 OR MIT
"""usage: load.py LIBRARY. Loads the library with dlopen, publishes, and polls."""
import ctypes
import json
import sys

net = ctypes.CDLL(sys.argv[1])
net.net_init.restype = ctypes.c_void_p
net.net_init.argtypes = [ctypes.c_char_p]
net.net_ingest.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
net.net_flush.argtypes = [ctypes.c_void_p]
net.net_poll.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
net.net_shutdown.argtypes = [ctypes.c_void_p]

bus = net.net_init(b'{"num_shards":1}')
assert bus
for number in range(3):
    event = json.dumps({"number": number}).encode()
    assert net.net_ingest(bus, event, len(event)) == 0
assert net.net_flush(bus) == 0
out = ctypes.create_string_buffer(4096)
assert net.net_poll(bus, b"{}", out, len(out)) > 0
answer = json.loads(out.value)
assert answer["events"] == [{"number": number} for number in range(3)], answer
assert net.net_shutdown(bus) == 0
print(answer["count"], "events")
