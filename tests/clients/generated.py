"""Makes a client from the OpenAPI document at a URL, and publishes, requests and reads with it. A device must
answer on dev/echo.

usage: generated.py URL TOKEN FOLDER
"""

import importlib
import io
import itertools
import json
import pathlib
import subprocess
import sys

url, token, folder = sys.argv[1:]
settings = pathlib.Path(folder, "settings.yaml")
# formatters of the generated files are not installed
settings.write_text("post_hooks: []\npackage_name_override: made\n")
program = pathlib.Path(sys.executable).with_name("openapi-python-client")
arguments = ["generate", "--url", f"{url}/openapi.json", "--config", settings, "--output-path", f"{folder}/client"]
told = subprocess.run([program, *arguments], check=True, capture_output=True, text=True)
assert "Warning" not in told.stdout + told.stderr, told.stdout + told.stderr
sys.path.insert(0, f"{folder}/client")

made, models, types = (importlib.import_module(name) for name in ["made", "made.models", "made.types"])
client = made.AuthenticatedClient(base_url=url, token=token, timeout=20)


def api(name):
    return importlib.import_module(f"made.api.{name}")


def read(lines, count):
    """This many messages of an event stream, which the generated client does not support."""
    data = (line.removeprefix("data: ") for line in lines if line.startswith("data: "))
    return [models.Message.from_dict(json.loads(text)) for text in itertools.islice(data, count)]


asked = api("receiving.messages")._get_kwargs(topic="kitchen/#", qos=1)
with client.get_httpx_client().stream(**asked) as stream:
    assert stream.status_code == 200, stream.read()
    lines = stream.iter_lines()
    assert next(lines).startswith(":"), "it has begun"

    pairs = [["room", "kitchen"], ["room", "hall"]]
    properties = models.Properties(content_type="text/plain", user_properties=pairs)
    light = models.Publish(topic="kitchen/light", msg="on", qos=1, retain=False, properties=properties)
    done = api("publishing.publish").sync(client=client, body=light)
    assert isinstance(done, models.Published) and done.packet_id, done

    oven = models.BulkItem(topic="kitchen/oven", msg={"celsius": 180}, qos=1)
    picture = models.BulkItem(
        topic="kitchen/picture", msg="/w==", payload_encoding=models.PayloadEncoding.BASE64, qos=1
    )
    done = api("publishing.publish_bulk").sync(client=client, body=[oven, picture], timeout=10)
    assert isinstance(done, models.BulkResults), done
    assert [result.code for result in done.results] == [0, 0], done

    body = types.File(payload=io.BytesIO(b"\xff\x00"), file_name="", mime_type="")
    done = api("publishing.publish_body").sync("kitchen/door", client=client, body=body, qos=1, retain=True)
    assert isinstance(done, models.Published) and done.packet_id, done
    value = api("receiving.read_topic").sync("kitchen/door", client=client)
    assert isinstance(value, types.File) and value.payload.read() == b"\xff\x00", value
    done = api("publishing.clear_topic").sync("kitchen/door", client=client)
    assert isinstance(done, models.Published), done

    got = read(lines, 5)
assert [message.topic.split("/")[1] for message in got] == ["light", "oven", "picture", "door", "door"], got
assert got[0].properties.user_properties == pairs, got[0]
assert [got[1].payload, got[2].payload_base64, got[3].payload_base64] == ['{"celsius":180}', "/w==", "/wA="], got

answer = api("receiving.request").sync(client=client, body=models.Request(topic="dev/echo", msg="hello"))
assert isinstance(answer, models.Answer) and answer.payload == "hello", answer

refused = api("publishing.publish").sync(client=client, body=models.Publish(topic="kitchen/#", msg="on"))
assert isinstance(refused, models.Refusal) and "wildcard" in refused.error, refused
status = api("operations.status").sync(client=client)
assert isinstance(status, models.Status), status
print("published, asked and read")
