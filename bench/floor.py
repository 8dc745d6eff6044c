"""The minimum cost of a durable POST: a bare Flask route that writes, fsyncs and pushes one key; and a bare GET.

It runs under the same server and with the same threads as the API: `gunicorn -k gthread bench.floor:app`.
"""

import os
import secrets
from pathlib import Path

import redis
from flask import Flask, request

app = Flask(__name__)
_FOLDER = Path(os.environ.get("FLOOR_FOLDER", "."))
_REDIS = redis.Redis.from_url(os.environ.get("FLOOR_REDIS_URL", "redis://127.0.0.1:6379/0"))


@app.post("/jobs")
def post() -> tuple[dict[str, str], int]:
    name = secrets.token_hex(8)
    with (_FOLDER / name).open("xb") as file:
        file.write(request.get_data())
        file.flush()
        os.fsync(file.fileno())
    _REDIS.lpush("floor", name)
    return {"id": name}, 202


@app.get("/jobs/<name>")
def get(name: str) -> dict[str, str]:
    return {"id": name}
