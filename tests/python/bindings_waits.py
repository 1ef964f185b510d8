# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Who waits in libnet.py, in a thread or in asyncio: what wakes it, what ends it, and that the loop watches nothing afterwards."""
import asyncio
import threading

from libnet import Bus, Code, NetError

CONFIG = {"num_shards": 1, "backpressure_mode": "FailProducer"}


def watched(loop):
    """The descriptors that the loop watches for others than itself."""
    return len(loop._selector.get_map()) - 1


def threads():
    with Bus(CONFIG) as bus:
        subscription, ticks = bus.subscribe(), []
        # The interpreter runs on while the main thread waits.
        other = threading.Thread(target=lambda: [ticks.append(1) for _ in range(1000)] and bus.publish("x"))
        other.start()
        assert [event.raw for event in subscription.next()] == [b"x"] and len(ticks) == 1000
        other.join()
        assert subscription.next(timeout=0) == [] and subscription.next(timeout=0.01) == []
        outcome = []

        def wait():
            try:
                subscription.next()
            except NetError as error:
                outcome.append(error.code)

        waiting = threading.Thread(target=wait)
        waiting.start()
        subscription.close()
        waiting.join()
        assert outcome == [Code.INVALID_ARGUMENT]


async def wakes_and_ends():
    loop = asyncio.get_running_loop()
    bus = Bus(CONFIG)
    subscription, received = bus.subscribe(), []

    async def receive():
        async for event in subscription:
            received.append(event.raw)

    task = loop.create_task(receive())
    for number in range(3):
        while watched(loop) == 0:
            await asyncio.sleep(0)  # until it waits
        bus.publish(str(number))
        while len(received) == number:
            await asyncio.sleep(0)
    while watched(loop) == 0:
        await asyncio.sleep(0)
    try:
        async for _ in subscription:
            raise AssertionError("two tasks take the same events")
    except NetError as error:
        assert error.code == Code.INVALID_ARGUMENT
    bus.shutdown()
    await task
    assert received == [b"0", b"1", b"2"] and watched(loop) == 0


async def leaves_nothing_watched():
    loop = asyncio.get_running_loop()
    with Bus(CONFIG) as bus:
        subscription = bus.subscribe()

        async def receive():
            async for _ in subscription:
                pass

        # A task that is cancelled.
        task = loop.create_task(receive())
        while watched(loop) == 0:
            await asyncio.sleep(0)
        task.cancel()
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
        assert watched(loop) == 0
        # An iterator that is dropped between two events.
        bus.publish_batch([b"a", b"b"])
        iterator = subscription.__aiter__()
        assert (await iterator.__anext__()).raw == b"a" and watched(loop) == 0
        del iterator
        # A subscription that is closed while a task waits, from another thread and from the loop's.
        task = loop.create_task(receive())
        while watched(loop) == 0:
            await asyncio.sleep(0)
        elsewhere = loop.run_in_executor(None, subscription.close)
        refusal = (await asyncio.gather(elsewhere, return_exceptions=True))[0]
        assert isinstance(refusal, NetError) and refusal.code == Code.INVALID_ARGUMENT, refusal
        subscription.close()
        assert watched(loop) == 0
        error = (await asyncio.gather(task, return_exceptions=True))[0]
        assert isinstance(error, NetError) and error.code == Code.INVALID_ARGUMENT, error


threads()
asyncio.run(wakes_and_ends())
asyncio.run(leaves_nothing_watched())
