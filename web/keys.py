"""What handlers find in the application, by typed keys."""

from aiohttp import web

from daemon.jobs.runner import Runner
from daemon.services import Services
from web.loop_monitor import LoopMonitor
from web.sessions import Sessions

SERVICES = web.AppKey("SERVICES", Services)
RUNNER = web.AppKey("RUNNER", Runner)
SESSIONS = web.AppKey("SESSIONS", Sessions)
LOOP_MONITOR = web.AppKey("LOOP_MONITOR", LoopMonitor)
