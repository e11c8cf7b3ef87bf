"""What a task is, for the handlers with pydantic."""

from datetime import datetime
from typing import Annotated, Literal

from checks import utc
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

Title = Annotated[str, Field(min_length=1, max_length=200)]
Description = Annotated[str, Field(max_length=4000)]
Status = Literal["pending", "in_progress", "done"]
Instant = Annotated[AwareDatetime, AfterValidator(utc)]


class NewTask(BaseModel):
    """The members of a new task."""

    model_config = ConfigDict(extra="forbid")
    title: Title
    description: Description = ""
    status: Status = "pending"
    due_at: Instant | None = None


class TaskChanges(BaseModel):
    """The members of a task that change."""

    model_config = ConfigDict(extra="forbid")
    title: Title = ""
    description: Description = ""
    status: Status = "pending"
    due_at: Instant | None = None


class Task(BaseModel):
    """A task."""

    task_id: str
    title: Title
    description: Description
    status: Status
    due_at: str | None
    created_at: datetime
    updated_at: datetime
    version: int


class TaskPage(BaseModel):
    """Part of a list of tasks."""

    tasks: list[Task]
    count: int
    next_cursor: str | None
