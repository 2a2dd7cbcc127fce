"""A server on the loopback that follows the Gradients API and refuses what that refuses.

A test may put a fault before any request: a status, a cut connection, a delay, on this or that side
of the work.
"""

import ast
import json
import socket
import struct
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

from tests.serving import serving

KEY = "gradients-test-key-0123456789"
REQUIRED = {
    "/v1/tasks/create_custom_dataset_text": ("field_instruction", "training_data"),
    "/v1/tasks/create_grpo": ("ds_repo", "field_prompt", "reward_functions"),
}
TYPES = {
    "/v1/tasks/create_custom_dataset_text": "InstructTextTask",
    "/v1/tasks/create_grpo": "GrpoTask",
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request; the work is done or not, before the answer goes wrong."""

    status: int | None = None
    works: bool = False
    cut: bool = False
    delay_s: float = 0.0
    late: bool = False
    """Do the work after the delay, not before it."""
    body: bytes = b'{"detail":"trouble"}'
    headers: dict[str, str] = field(default_factory=dict)


class GradientsServer(ThreadingHTTPServer):
    """Tasks and reward functions, and the faults to come by "METHOD /path"."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tasks: list[dict[str, Any]] = []
        self.functions: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, Any]] = []
        self.times: list[float] = []
        self.faults: dict[str, list[Fault]] = {}
        self.statuses: dict[str, list[str]] = {}
        """Of a task, the statuses of the next looks at it."""
        self.files: dict[str, bytes] = {}
        """What is served to anyone by GET, as a bucket does."""
        self.file_keys: list[str | None] = []
        """The Authorization with which files were asked for."""
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_fault(self, route: str) -> Fault | None:
        with self.lock:
            waiting = self.faults.get(route, [])
            return waiting.pop(0) if waiting else None

    def sent(self, method: str, path: str) -> list[Any]:
        """The payloads of requests."""
        return [body for m, p, body in self.requests if (m, p) == (method, path)]

    def add_task(self, name: str, status: str = "pending", **more: Any) -> dict[str, Any]:
        task = {
            "id": str(uuid4()), "account_id": str(uuid4()), "status": status, "started_at": None,
            "finished_at": None, "created_at": "2026-01-02T03:04:05.678", "hours_to_complete": 2.0,
            "trained_model_repository": None, "task_type": "GrpoTask", "result_model_name": name,
            "base_model_repository": "Qwen/Qwen3-0.6B", "ds_repo": "Hidden", "new_field": [1],
        }  # fmt: skip
        self.tasks.insert(0, {**task, **more})
        return self.tasks[0]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests want."""


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(status)
        self.status, self.detail = status, detail


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: GradientsServer

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        payload = json.loads(self.rfile.read(length)) if length else None
        path = urlsplit(self.path).path
        if not path.startswith("/v1/"):
            self.server.file_keys.append(self.headers.get("Authorization"))
            if "X-Amz-Signature=expired" in self.path:
                self._answer(403, b"<Error>", {})
            elif path in self.server.files:
                self._answer(200, self.server.files[path], {})
            else:
                self._answer(404, b"", {})
            return
        self.server.requests.append((self.command, path, payload))
        self.server.times.append(time.monotonic())
        fault = self.server.next_fault(f"{self.command} {path}") or Fault(works=True)
        if fault.late:
            time.sleep(fault.delay_s)
        status, body = (fault.status or 200), fault.body
        if fault.works:
            status, body = self._worked(path, payload, fault)
        if not fault.late:
            time.sleep(fault.delay_s)
        if fault.cut:
            # A reset, as when the other process dies.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
            return
        self._answer(status, body, fault.headers)

    def _worked(self, path: str, payload: Any, fault: Fault) -> tuple[int, bytes]:
        try:
            with self.server.lock:
                answer = self._route(path, payload)
        except Refused as refusal:
            return refusal.status, json.dumps({"detail": refusal.detail}).encode()
        body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        return (fault.status, fault.body) if fault.status else (200, body)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _route(self, path: str, payload: Any) -> Any:
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            raise Refused(401, f"invalid key {self.headers.get('Authorization')}")
        if path == "/v1/grpo/reward_functions":
            return self._register(payload) if self.command == "POST" else self._functions()
        if self.command == "POST" and path in REQUIRED:
            return self._create(path, payload)
        if self.command == "GET" and path == "/v1/tasks":
            query = parse_qs(urlsplit(self.path).query)
            limit, page = (int(query.get(k, [d])[0]) for k, d in (("limit", "100"), ("page", "1")))
            return self.server.tasks[(page - 1) * limit : page * limit]
        return self._task(path)

    def _task(self, path: str) -> Any:
        task = next((t for t in self.server.tasks if path.endswith(f"/{t['id']}")), None)
        if task is None:
            raise Refused(404, "Task not found.")
        if self.command == "DELETE":
            self.server.tasks.remove(task)
            return "Success"
        coming = self.server.statuses.get(task["id"], [])
        if coming:
            task["status"] = coming.pop(0)
        return task

    def _create(self, path: str, payload: Any) -> Any:
        wrong = [
            {"type": "missing", "loc": ["body", name], "msg": "Field required", "input": payload}
            for name in ("model_repo", "hours_to_complete", *REQUIRED[path])
            if not payload.get(name)
        ]
        if payload.get("file_format", "hf") not in ("hf", "s3", "csv", "json"):
            wrong.append({"loc": ["body", "file_format"], "msg": "Input should be 'hf' or 's3'"})
        if "reward_function_ids" in payload:
            wrong.append({"loc": ["body", "reward_functions"], "msg": "Field required"})
        ids = [UUID(each["reward_id"]) for each in payload.get("reward_functions", ())]
        known = [UUID(function["reward_id"]) for function in self.server.functions]
        if wrong:
            raise Refused(422, wrong)
        if not set(ids) <= set(known):
            raise Refused(400, "Reward function not found")
        task = self.server.add_task(
            payload.get("result_model_name"),
            task_type=TYPES[path],
            base_model_repository=payload["model_repo"],
            hours_to_complete=payload["hours_to_complete"],
        )
        created = {"success": True, "task_id": task["id"], "created_at": task["created_at"]}
        return {**created, "account_id": task["account_id"]}

    def _functions(self) -> Any:
        rows = {each["name"]: each for each in self.server.functions}
        return {"reward_functions": rows}

    def _register(self, payload: Any) -> Any:
        """Keep a function as the platform does: parsed and written anew, without annotations."""
        try:
            tree = ast.parse(payload["code"])
            function = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
        except (SyntaxError, StopIteration) as error:
            raise Refused(500, f"Failed to add reward function: {error}") from None
        others = [arg for arg in function.args.args if arg.arg not in ("completions", "kwargs")]
        function.args.args = [ast.arg("completions"), *others]
        function.args.kwarg = ast.arg("kwargs")
        row = {
            "reward_id": str(uuid4()), "name": function.name, "code": ast.unparse(tree),
            "description": ast.get_docstring(function) or "No description available",
        }  # fmt: skip
        self.server.functions.append(row)
        return {"reward_id": row["reward_id"]}

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def gradients_server() -> AbstractContextManager[GradientsServer]:
    """Serve until the block ends."""
    return serving(GradientsServer())
