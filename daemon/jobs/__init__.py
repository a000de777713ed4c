"""Durable runs of steps: queue, runner, schedule."""
