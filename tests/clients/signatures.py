"""Prints the headers by which a sender signs a body, made by its own package: scheme, secret, body, identifier, time."""

import sys
from datetime import datetime, timezone

from standardwebhooks.webhooks import Webhook
from stripe import WebhookSignature

scheme, secret, body, identifier, time = sys.argv[1:]
if scheme == "stripe":
    print("Stripe-Signature: " + WebhookSignature.generate_signature_header(body, secret, int(time)))
else:
    signature = Webhook(secret).sign(identifier, datetime.fromtimestamp(int(time), timezone.utc), body)
    print(f"webhook-id: {identifier}\nwebhook-timestamp: {time}\nwebhook-signature: {signature}")
