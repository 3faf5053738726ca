"""An endpoint of webhooks: port, keys of Standard Webhooks with commas between them, and for TLS a certificate and its key.

It answers 204 to what one of its keys has signed and 401 to anything else, and prints a line for each request.
"""

import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

port, keys, *tls = sys.argv[1:]


def is_verified(key, body, headers):
    try:
        Webhook(key).verify(body, headers)
    except WebhookVerificationError:
        return False
    # the package reads the body as JSON after it has verified the signature
    except ValueError:
        pass
    return True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        verified = [key for key in keys.split(",") if key and is_verified(key, body, headers)]
        status = 204 if verified or not keys else 401
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()
        print(f"got {status} {headers.get('webhook-id')} by {len(verified)}: {body.decode()}", file=sys.stderr, flush=True)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
if tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls)
    # a failed handshake must not end the thread that accepts
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("ready", file=sys.stderr, flush=True)
server.serve_forever()
