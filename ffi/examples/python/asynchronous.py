# SPDX-License-Identifier: Apache-2.0 OR MIT
"""An asyncio task receives what a thread publishes.  usage: asynchronous.py EVENTS"""
import asyncio
import sys

import libnet


async def main(count: int) -> None:
    bus = libnet.Bus({"num_shards": 1, "backpressure_mode": "FailProducer"})
    subscription = bus.subscribe("now")

    def publish() -> None:
        try:
            for number in range(count):
                bus.publish(f"event {number}")
        finally:
            bus.shutdown()  # which ends the iteration, when everything was given

    publishing = asyncio.get_running_loop().run_in_executor(None, publish)
    received = 0
    async for event in subscription:
        if event.raw != b"event %d" % received:
            raise ValueError(event)
        received += 1
    await publishing
    subscription.close()
    print(f"{received} received")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
