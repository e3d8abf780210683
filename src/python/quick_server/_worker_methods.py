"""Methods of the server for tokens, workers, and the JavaScript that goes with them."""

from typing import Any


class WorkerMethods:
    def _set_up_workers(self, token_handler: Any, worker_constructor: Any, soft_worker_death: bool) -> None:
        """Called once, at the end of QuickServer.__init__: what create_server() was given for workers."""

    def _workers_running(self) -> int:
        return 0
