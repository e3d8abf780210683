"""Methods of the server for tokens, workers, and the JavaScript that goes with them."""

from typing import Any


class WorkerMethods:
    def _set_up_workers(self, token_handler: Any, worker_constructor: Any, soft_worker_death: bool,
                        thread_factory: Any = None) -> None:
        """Called once, at the end of QuickServer.__init__: what create_server() was given for workers."""

    def _workers_running(self) -> int:
        return 0

    def _finish_workers(self) -> None:
        """For a process that has drained."""

    def _stop_workers(self) -> None:
        """For a process that ends now."""
