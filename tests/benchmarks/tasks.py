"""Celery tasks, published and run: without anything, with obswriter, with peers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spans import opentelemetry
from workload import Workload

PURGE_EVERY = 1000  # published messages, lest the broker's memory be what is measured


def _application() -> Any:
    from celery import Celery

    app = Celery("bench", broker="memory://", set_as_current=True)
    app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False)

    @app.task(name="bench.pay")  # type: ignore[untyped-decorator, unused-ignore]
    def pay(order: int) -> None:
        pass

    return app


def _published(app: Any) -> Callable[[int], None]:
    """What a web request does that has a task run."""
    connection = app.connection_for_write()
    producer = app.amqp.Producer(connection.default_channel, auto_declare=False)
    queue = app.amqp.queues[app.conf.task_default_queue](connection.default_channel)
    queue.declare()

    def work(count: int) -> None:
        for number in range(count):
            app.send_task("bench.pay", (number,), producer=producer)
            if number % PURGE_EVERY == 0:
                queue.purge()

    return work


def _run(app: Any) -> Callable[[int], None]:
    """What a worker's child does with a message."""
    from celery.app import trace

    task = app.tasks["bench.pay"]
    # By the module's name: a peer may have put its own in the place.
    run = trace.build_tracer(task.name, task, app=app, hostname="worker@bench")
    request = {
        "id": "0af76519-16cd-43dd-8448-eb211c80319c",
        "task": task.name,
        "retries": 0,
        "hostname": "worker@bench",
        "is_eager": False,
        "headers": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        "delivery_info": {"exchange": "", "routing_key": "celery", "redelivered": False},
    }

    def work(count: int) -> None:
        for number in range(count):
            run(request["id"], (number,), {}, dict(request))

    return work


Doing = Callable[[Any], Callable[[int], None]]


def bare(doing: Doing, folder: str) -> Workload:
    """Nobody watches."""
    return Workload(doing(_application()))


def obswriter_tasks(doing: Doing, folder: str) -> Workload:
    """``obswriter_celery.install()``."""
    import obswriter
    import obswriter_celery

    app = _application()
    obswriter_celery.install(app, file_storage=folder, project_id="bench")
    return Workload(doing(app), obswriter.flush)


def opentelemetry_tasks(doing: Doing, folder: str) -> Workload:
    """opentelemetry-instrumentation-celery."""
    from opentelemetry.instrumentation.celery import CeleryInstrumentor

    provider, _ = opentelemetry(folder)
    CeleryInstrumentor().instrument(tracer_provider=provider)
    return Workload(doing(_application()), provider.force_flush)


def sentry_tasks(doing: Doing, folder: str) -> Workload:
    """sentry-sdk, every trace sampled; what it would send is encoded and goes nowhere."""
    import sentry_sdk
    from sentry_sdk.integrations.celery import CeleryIntegration
    from sentry_sdk.transport import Transport

    class Nowhere(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            envelope.serialize()

    sentry_sdk.init(
        dsn="http://key@localhost/1",
        traces_sample_rate=1.0,
        transport=Nowhere,
        default_integrations=False,
        integrations=[CeleryIntegration()],
    )
    return Workload(doing(_application()), sentry_sdk.flush)


def _both(name: str, side: Callable[[Doing, str], Workload]) -> dict[str, Any]:
    return {
        f"{name} published task".strip(): lambda folder: side(_published, folder),
        f"{name} run task".strip(): lambda folder: side(_run, folder),
    }


WORKLOADS: dict[str, Callable[[str], Workload]] = {
    **_both("bare", bare),
    **_both("", obswriter_tasks),
    **_both("opentelemetry", opentelemetry_tasks),
    **_both("sentry", sentry_tasks),
}
