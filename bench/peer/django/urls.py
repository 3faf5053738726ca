"""The tutorial's one view: whatever topic and message the body names go to the client, whose code is the answer."""

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
