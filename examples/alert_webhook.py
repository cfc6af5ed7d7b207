"""Alerts of a training, posted to a webhook as they come. The hook here is a small server of its own on
127.0.0.1 that prints what it gets: nothing leaves this machine.

    python -m examples.alert_webhook [FOLDER] [STEPS]

A VAE of tabular rows learns with a beta of 0.02, which is raised to 20 half way: most latents collapse.
"""

import json
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
import torch.nn.functional as F
from torch import nn

import probes


class VAE(nn.Module):
    def __init__(self, inputs=16, latent=8):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, 64), nn.GELU())
        self.fc_mu, self.fc_logvar = nn.Linear(64, latent), nn.Linear(64, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, 64), nn.GELU(), nn.Linear(64, inputs))

    def forward(self, x):
        h = self.body(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        return self.decoder(mu + torch.randn_like(mu) * (logvar / 2).exp()), mu, logvar


class Hook(BaseHTTPRequestHandler):
    """Stands for the chat or pager that gets the alerts."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(f"step {body['step']}, {body['where']}: {body['text']}. {body['advice']}", flush=True)
        self.server.received.append(body)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        """No line a request."""


def poster(url):
    """A callback that posts each alert; what it raises does not stop the training."""

    def post(alert):
        body = {name: getattr(alert, name) for name in ("step", "kind", "where", "count", "text", "advice")}
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=2).close()

    return post


def train(folder, steps, on_alert):
    torch.manual_seed(0)
    model, mixing = VAE(), torch.randn(8, 16)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    with probes.watch(model, folder, on_alert=on_alert, config={"seed": 0}) as recording:
        for step in range(steps):
            x = torch.randn(128, 8) @ mixing + 0.1 * torch.randn(128, 16)
            output, mu, logvar = model(x)
            kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
            loss = (
                F.mse_loss(output, x, reduction="none").sum(1).mean()
                + (0.02 if step < steps // 2 else 20) * kl
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            recording.step(step, loss=loss, rate=kl)


def main(folder="runs/alert-webhook", steps=800):
    """Train; returns what the hook has got."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.received = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        train(folder, steps, poster(f"http://127.0.0.1:{server.server_port}/alerts"))
    finally:
        server.shutdown()
        server.server_close()
    return server.received


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
