"""The API with FastAPI, which Mangum runs in Lambda, on boto3's resource."""

from typing import Annotated

import storage
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.middleware.cors import CORSMiddleware
from mangum import Mangum
from models import NewTask, Task, TaskChanges, TaskPage

app = FastAPI()
app.add_middleware(CORSMiddleware, allow_origins=["https://app.example.com"], allow_methods=["*"], allow_headers=["*"])


def _sub(request: Request) -> str:
    return request.scope["aws.event"]["requestContext"]["authorizer"]["claims"]["sub"]


Sub = Annotated[str, Depends(_sub)]


@app.post("/tasks", status_code=201)
def create(sub: Sub, new: NewTask) -> Task:
    """Create a task."""
    return storage.create(sub, new.model_dump())


@app.get("/tasks")
def list_tasks(sub: Sub, limit: Annotated[int, Query(ge=1, le=100)] = 25, cursor: str | None = None) -> TaskPage:
    """List tasks, newest first."""
    return storage.list_tasks(sub, limit, cursor)


@app.get("/tasks/{task_id}")
def read(sub: Sub, task_id: str) -> Task:
    """Read a task."""
    return _found(storage.read(sub, task_id))


@app.patch("/tasks/{task_id}")
def update(sub: Sub, task_id: str, changes: TaskChanges) -> Task:
    """Change some members of a task."""
    return _found(storage.update(sub, task_id, changes.model_dump(exclude_unset=True)))


def _found(task: dict | None) -> dict:
    if task is None:
        raise HTTPException(404, "not found")
    return task


handler = Mangum(app, lifespan="off")
