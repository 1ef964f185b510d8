# SPDX-License-Identifier: Apache-2.0 OR MIT
"""usage: subscribe_asyncio.py LIBRARY. An asyncio loop receives a million events while a thread publishes them."""
import asyncio
import ctypes
import sys
import threading

EVENTS, BATCH, MAX, SHARDS = 1_000_000, 500, 1_000, 2


class Event(ctypes.Structure):
    _fields_ = [
        ("id", ctypes.c_void_p),
        ("id_len", ctypes.c_size_t),
        ("raw", ctypes.c_void_p),
        ("raw_len", ctypes.c_size_t),
        ("insertion_ts", ctypes.c_uint64),
        ("shard_id", ctypes.c_uint16),
    ]


net = ctypes.CDLL(sys.argv[1])
net.net_init.restype = ctypes.c_void_p
for function, arguments in {
    "net_init": [ctypes.c_char_p],
    "net_ingest_raw_batch": [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t],
    "net_subscribe": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
    "net_subscription_fd": [ctypes.c_void_p],
    "net_next": [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int],
    "net_unsubscribe": [ctypes.c_void_p],
    "net_shutdown": [ctypes.c_void_p],
}.items():
    getattr(net, function).argtypes = arguments

bus = net.net_init(b'{"num_shards":2,"backpressure_mode":"FailProducer","push_wait_us":30000000}')
assert bus


def publish():
    for first in range(0, EVENTS, BATCH):
        texts = [b"%d" % number for number in range(first, first + BATCH)]
        events = (ctypes.c_char_p * BATCH)(*texts)
        lens = (ctypes.c_size_t * BATCH)(*map(len, texts))
        assert net.net_ingest_raw_batch(bus, events, lens, BATCH) == BATCH


async def receive():
    subscription = ctypes.c_void_p()
    assert net.net_subscribe(bus, b"{}", ctypes.byref(subscription)) == 0
    descriptor = net.net_subscription_fd(subscription)
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    events = (Event * MAX)()
    seen = bytearray(EVENTS)
    last_id, last_number = [0] * SHARDS, [-1] * SHARDS
    received = 0

    def on_readable():
        try:
            take()
        except BaseException as error:  # asyncio would log it and go on
            loop.remove_reader(descriptor)
            done.set_exception(error)

    def take():
        nonlocal received
        count = net.net_next(subscription, events, MAX, 0)
        assert count >= 0, count
        for event in events[:count]:
            number = int(ctypes.string_at(event.raw, event.raw_len))
            identity = int(ctypes.string_at(event.id, event.id_len))
            shard = event.shard_id
            # One thread publishes, so that in a shard the numbers rise.
            assert not seen[number] and identity == last_id[shard] + 1 and number > last_number[shard]
            seen[number], last_id[shard], last_number[shard] = 1, identity, number
        received += count
        if received == EVENTS:
            done.set_result(None)

    loop.add_reader(descriptor, on_readable)
    publisher = threading.Thread(target=publish)
    publisher.start()
    await done
    loop.remove_reader(descriptor)
    publisher.join()
    assert net.net_unsubscribe(subscription) == 0
    return received


print(asyncio.run(receive()), "events")
assert net.net_shutdown(bus) == 0
