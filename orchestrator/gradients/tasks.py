"""Tasks of the platform: submitted once, listed, looked at, cancelled and watched.

A task is found again by its `result_model_name`. Before a create, and before one is repeated, the
account's tasks are looked through for it.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from orchestrator.failures import TrainingFailed
from orchestrator.gradients.api import Api, ApiFailed, NotThere
from orchestrator.gradients.models import Created, GrpoRequest, SftRequest, Task

TASKS = "/v1/tasks"
CREATE = {
    SftRequest: f"{TASKS}/create_custom_dataset_text",
    GrpoRequest: f"{TASKS}/create_grpo",
}
TYPES = {SftRequest: "InstructTextTask", GrpoRequest: "GrpoTask"}
PAGE_TASKS, MAX_PAGES = 100, 1000


@dataclass(frozen=True, slots=True)
class Submitted:
    """A task that was asked for; `created` is False if it was there already."""

    task_id: UUID
    created: bool
    status: str | None = None


class Tasks:
    """The tasks of an account."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def submit(self, request: SftRequest | GrpoRequest) -> Submitted:
        """Create a task, or find the one of that name that has not failed.

        Raises ValueError if the request is refused or the name is another task's, Unclear if
        nobody knows whether the task was created.
        """
        before = self._named(request.result_model_name)
        alive = [task for task in before if not task.has_failed]
        if alive:
            _check_same(alive[0], request)
            return Submitted(alive[0].id, False, alive[0].status)
        known = {task.id for task in before}

        def find() -> Submitted | None:
            new = [t for t in self._named(request.result_model_name) if t.id not in known]
            return Submitted(new[0].id, True, new[0].status) if new else None

        return self._api.create(CREATE[type(request)], request.payload(), self._created, find)

    def get(self, task_id: UUID) -> Task:
        """Return a task; ValueError if there is none."""
        try:
            return self._api.get(Task, f"{TASKS}/{task_id}")
        except NotThere:
            raise ValueError(f"there is no task {task_id}: see clutch gradients list") from None

    def all(self) -> list[Task]:
        """Return every task of the account, in the service's order."""
        found: dict[UUID, Task] = {}
        for page in range(1, MAX_PAGES + 1):
            query = {"limit": PAGE_TASKS, "page": page}
            tasks = self._api.get(list[Task], TASKS, query)
            new = {task.id: task for task in tasks if task.id not in found}
            found |= new
            # A service that knows no pages answers the same again.
            if len(tasks) < PAGE_TASKS or not new:
                break
        return list(found.values())

    def cancel(self, task_id: UUID) -> None:
        """Remove a task; ValueError if there is none."""
        self.get(task_id)
        self._api.delete(f"{TASKS}/delete/{task_id}")

    def watch(self, task_id: UUID, interval_s: float, deadline_s: float) -> Iterator[Task]:
        """Yield a task at first and whenever its status has changed, until it is finished.

        Raises ApiFailed if that takes longer than `deadline_s`, TrainingFailed if it has failed.
        """
        end, last = time.monotonic() + deadline_s, None
        while True:
            task = self.get(task_id)
            if task.status != last:
                yield task
            last = task.status
            if task.is_finished:
                break
            if time.monotonic() + interval_s > end:
                raise ApiFailed(f"task {task_id} is still {last!r}: the same command goes on")
            time.sleep(interval_s)
        if task.has_failed:
            raise TrainingFailed(f"task {task_id} has ended: {task.status}")

    def _named(self, name: str) -> list[Task]:
        return [task for task in self.all() if task.result_model_name == name]

    def _created(self, body: bytes) -> Submitted:
        answer = self._api.read(Created, body)
        if not answer.success:
            raise ValueError("the platform has not taken the task: try again later")
        if answer.task_id is None:
            raise ApiFailed("the answer names no task")
        return Submitted(answer.task_id, True)


def _check_same(task: Task, request: SftRequest | GrpoRequest) -> None:
    """Refuse a name that another kind of task, or one of another model, has."""
    kind, model = TYPES[type(request)], request.model_repo
    if task.task_type not in (None, kind) or task.base_model_repository not in (None, model):
        raise ValueError(
            f"--name {request.result_model_name}: task {task.id} has it, which trains "
            f"{task.base_model_repository} as {task.task_type}: choose another name"
        )
