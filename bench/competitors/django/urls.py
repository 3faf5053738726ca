"""The view of the tutorial: it passes topic and message of the body to the client, and returns its code."""

import json

from django.http import JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from mqtt import client


@csrf_exempt
def publish(request):
    body = json.loads(request.body)
    code, _ = client.publish(body["topic"], body["msg"])
    return JsonResponse({"code": code})


urlpatterns = [path("publish", publish)]
