"""Serve services whose work takes a while, without holding up the node's executor."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rclpy.service import Service

from novaflow_core.errors import Code, NovaflowError, PlatformError
from novaflow_ros.node import NovaflowNode

Work = Callable[[Any, Any], None]


def serve(
    node: NovaflowNode[Any], kind: Any, name: str, work: Work, lane: ThreadPoolExecutor
) -> Service[Any, Any]:
    """Offer a service whose response has `code` and `reason`.

    The executor goes on hearing messages and sending heartbeats while `work` runs.

    Args:
        node: An inactive node answers NOT_ACTIVE.
        kind: Type of the service.
        name: Of the service.
        work: Fills the response it is given (code OK, no reason). A `NovaflowError` becomes its
            code and reason; anything else is logged with its traceback and becomes INTERNAL.
        lane: Where it works; services that share a lane of one thread take turns.
    """

    def answer(request: Any, response: Any) -> Any:
        response.code, response.reason = int(Code.OK), ""
        try:
            if not node.active:
                raise PlatformError(Code.NOT_ACTIVE, f"{node.get_name()} is not active")
            work(request, response)
        except NovaflowError as error:
            node.get_logger().warning(f"{name}: {error}")
            response.code, response.reason = int(error.code), error.reason
        except Exception as error:
            node.get_logger().error(f"unexpected failure in {name}:\n{traceback.format_exc()}")
            response.code = int(Code.INTERNAL)
            response.reason = f"{type(error).__name__}: {error}"
        return response

    service = node.create_service(kind, name, lambda request, response: (request, response))
    send = service.send_response

    def send_later(pair: tuple[Any, Any], header: Any) -> None:
        lane.submit(lambda: send(answer(*pair), header))

    # An executor calls back and sends what that returns; awaiting a future in the callback instead
    # would let the events executor spin hot until it is done.
    service.send_response = send_later
    return service
