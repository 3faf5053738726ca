"""FastAPI with aiomqtt: a validated model of the body, and an awaited publish."""

import contextlib
import os

import aiomqtt
import fastapi
import pydantic


class Publish(pydantic.BaseModel):
    topic: str
    msg: str
    qos: int = 0


@contextlib.asynccontextmanager
async def lifespan(app):
    async with aiomqtt.Client("127.0.0.1", int(os.environ["MQTT_PORT"])) as client:
        app.state.client = client
        yield


app = fastapi.FastAPI(lifespan=lifespan)


@app.post("/publish")
async def publish(body: Publish):
    await app.state.client.publish(body.topic, body.msg, qos=body.qos)
    return {"code": 0}
