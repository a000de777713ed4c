"""An event loop that does nothing but measure itself: python -m benchmarks.idle_loop.

It runs until standard input closes, then prints turns, long turns and the longest as JSON. What
it finds late is the machine's doing.
"""

import asyncio
import json
import sys
import threading

from prometheus_client import CollectorRegistry

from web.loop_monitor import LoopMonitor


async def main() -> None:
    """Measure until standard input closes."""
    registry = CollectorRegistry()
    monitor = LoopMonitor(registry)
    over, loop = asyncio.Event(), asyncio.get_running_loop()

    def wait_for_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait_for_end, daemon=True).start()
    watching = asyncio.create_task(monitor.watch())
    await over.wait()
    watching.cancel()
    turns = registry.get_sample_value("anagnorisis_event_loop_held_seconds_count")
    long = registry.get_sample_value("anagnorisis_event_loop_long_turns_total")
    print(json.dumps([turns, long, monitor.longest]))


if __name__ == "__main__":
    asyncio.run(main())
