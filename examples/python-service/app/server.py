"""Answers every request with a greeting of the private package acme-greetings."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from acme_greetings import greeting


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = greeting().encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
