"""A text VAE whose latent neurons collapse, watched, and the same VAE with a thermostat that mends it.

    python -m examples.text_vae [FOLDER] [STEPS] [--rescue]   one run, plain or rescued
    python -m examples.text_vae --compare SEEDS               both, seed by seed, on the test texts

The classic posterior collapse: an LSTM that writes word after word and is shown the true words before
(teacher forcing) learns to do without its latent variables, although the weight of the KL, beta, rises slowly
from 0 to 1. The rescue sets beta by `probes.control.BetaThermostat` instead: it falls until the neurons carry
what they are asked for, and once they are asked for little it rises to 1 wherever a neuron lives by itself.

The texts are made here, from a grammar with eight traits that a whole text shares (mood, topic, pace ...), as
'our calm boat drifts soon outside furthermore my bright harbour turns quickly above today'.
"""

import argparse
import math
import random

import torch
import torch.nn.functional as F
from torch import nn

import probes
from probes.control import BetaThermostat, free_bits

TRAITS = {  # a text leans to one of the two sides of each
    "person": ("our my", "their his"),
    "mood": ("bright calm kind", "dark sad cold"),
    "topic": ("boat captain harbour", "horse farmer field"),
    "motion": ("drifts turns rolls", "waits rests sleeps"),
    "pace": ("quickly soon suddenly", "slowly later quietly"),
    "place": ("outside above ahead", "inside below behind"),
    "register": ("moreover furthermore", "and but"),
    "time": ("today tonight now", "yesterday once before"),
}
CLAUSE = ("person", "mood", "topic", "motion", "pace", "place")  # the trait of each word
LEANING = 0.92  # share of words from a trait's own side
WORDS = ["<pad>", "<start>", "<end>"] + sorted(
    {word for sides in TRAITS.values() for side in sides for word in side.split()}
)
LONGEST = 23  # three clauses, two connectives, a time, start and end

LATENT, BATCH, STEPS = 16, 32, 4000
WARM_UP = 2000  # steps in which the plain run's beta goes from 0 to 1
TARGET = 0.2  # nats a neuron that the thermostat asks for, so that the writer learns to use it
HOLD, HOLD_FROM = 0.03, 2500  # nats that it asks for from a later step on, where beta rises to 1 if it can
EVERY = 8  # of the steps is recorded
LEFT_PRIOR = 200  # step by which neurons have left the prior, where all begin: alerts are silent before
SAMPLES = 64  # of the importance-weighted bound


def write_text(random):
    """Words of one text of two or three clauses."""
    sides = {trait: random.randrange(2) for trait in TRAITS}

    def word(trait):
        side = sides[trait] if random.random() < LEANING else 1 - sides[trait]
        return random.choice(TRAITS[trait][side].split())

    words = []
    for clause in range(random.choice((2, 3))):
        if clause:
            words.append(word("register"))
        words += [word(trait) for trait in CLAUSE]
    return [*words, word("time")]


def texts(number, seed):
    """(number, LONGEST) indices of words, 0 behind the end."""
    index, generator = {word: place for place, word in enumerate(WORDS)}, random.Random(seed)
    rows = torch.zeros((number, LONGEST), dtype=torch.long)
    for row in rows:
        words = ["<start>", *write_text(generator), "<end>"]
        row[: len(words)] = torch.tensor([index[word] for word in words])
    return rows


class TextVAE(nn.Module):
    def __init__(self, embedding=24, reader=32, writer=12, latent=LATENT):
        super().__init__()
        self.embed = nn.Embedding(len(WORDS), embedding, padding_idx=0)
        self.reader = nn.LSTM(embedding, reader, batch_first=True)
        self.fc_mu, self.fc_logvar = nn.Linear(reader, latent), nn.Linear(reader, latent)
        self.writer = nn.LSTM(embedding + latent, writer, batch_first=True)
        self.head = nn.Linear(writer, len(WORDS))

    def encode(self, x):
        """(B, T) -> mean and log variance, (B, N) each, from the reader's state at the end of each text."""
        states, _ = self.reader(self.embed(x))
        end = states[torch.arange(len(x)), (x != 0).sum(1) - 1]
        return self.fc_mu(end), self.fc_logvar(end)

    def decode(self, x, z):
        """(B, T) and (B, N) -> logits of the next word, (B, T - 1, words): it sees z and the true words so
        far.
        """
        before = self.embed(x[:, :-1])
        states, _ = self.writer(torch.cat([before, z[:, None].expand(-1, before.shape[1], -1)], -1))
        return self.head(states)

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = mu + torch.randn_like(mu) * (logvar / 2).exp()
        return self.decode(x, z), mu, logvar


def distortion_of(logits, x):
    """(B,) nats: -log p(x | z), summed over words."""
    return F.cross_entropy(logits.transpose(1, 2), x[:, 1:], ignore_index=0, reduction="none").sum(1)


def kl_of(mu, logvar):
    """(B, N) nats, from Normal(0, 1)."""
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)


@torch.no_grad()
def negative_bound(model, x):
    """Nats a text, with beta 1 whatever trains; draws of its own, so that a recorded training is the same."""
    model.eval()
    with torch.random.fork_rng():
        logits, mu, logvar = model(x)
    model.train()
    return distortion_of(logits, x).mean() + kl_of(mu, logvar).sum(1).mean()


@torch.no_grad()
def importance_weighted_bound(model, x, samples=SAMPLES, seed=0):
    """(B,) nats, a lower bound of log p(x) that tightens with the samples (Burda et al. 2016)."""
    generator = torch.Generator().manual_seed(seed)
    bounds = []
    for part in x.split(50):
        mu, logvar = model.encode(part)
        noise = torch.randn((samples, *mu.shape), generator=generator)
        z = mu + noise * (logvar / 2).exp()
        repeated = part.repeat(samples, 1)
        log_likelihood = -distortion_of(model.decode(repeated, z.flatten(0, 1)), repeated).view(samples, -1)
        log_weights = log_likelihood + 0.5 * (noise**2 - z**2 + logvar).sum(-1)
        bounds.append(log_weights.logsumexp(0) - math.log(samples))
    return torch.cat(bounds)


def train(kind="plain", seed=0, steps=STEPS, target=TARGET, folder=None):
    """A trained VAE and, with a folder, the run of its training.

    kind: "plain", whose beta rises from 0 to 1 within WARM_UP steps; "thermostat", which sets a beta for each
    neuron, for a target that is high first and low later; "free bits", as plain, with `target` nats of each
    neuron free.
    """
    torch.manual_seed(seed)
    training, validation = texts(10_000, 1), texts(500, 2)
    model = TextVAE()
    optimiser = torch.optim.Adam(model.parameters(), lr=4e-3)
    thermostat = BetaThermostat(target)
    config = {"data": "made texts", "seed": seed, "kind": kind, "steps": steps, "warmup_steps": LEFT_PRIOR}
    recording = folder and probes.watch(model, folder, EVERY, config=config, precision="10bit")
    for step in range(steps):
        batch = training[torch.randint(len(training), (BATCH,))]
        logits, mu, logvar = model(batch)
        distortion, kl = distortion_of(logits, batch).mean(), kl_of(mu, logvar)
        if kind == "thermostat":
            if step == HOLD_FROM:
                thermostat.target = HOLD
            beta = torch.as_tensor(thermostat.beta)
            thermostat.step(kl)
        else:
            beta = torch.tensor(min(1.0, step / WARM_UP))
        cost = free_bits(kl, target) if kind == "free bits" else kl.mean(0)  # (N,)
        loss = distortion + (beta * cost).sum()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        if recording:
            numbers = {"loss": loss, "distortion": distortion, "rate": kl.sum(1).mean(), "beta": beta.mean()}
            recording.step(step, **(numbers if step % EVERY == 0 else {}))
            if step % 100 == 99:
                recording.scalar(step, "loss", negative_bound(model, validation), split="validation")
    model.eval()
    if recording:
        bound = importance_weighted_bound(model, texts(2000, 3))
        recording.scalar(steps - 1, "importance_weighted_bound", bound.mean(), split="test")
        recording.close()
    return model


@torch.no_grad()
def living_share(model, x):
    """Share of the neurons that tell more than 0.005 nats about the texts, the limit of the regimes."""
    mu, logvar = model.encode(x)
    information = 0.5 * ((logvar.exp().mean(0) + mu.var(0, correction=0)).log() - logvar.mean(0))
    return (information > 0.005).double().mean().item()


def compare(seeds, kinds=("plain", "thermostat", "free bits"), steps=STEPS, split=3, target=TARGET):
    """Prints the living share and the bound of each kind and seed, and paired differences from the first."""
    x = texts(2000, split)
    bounds = {kind: [] for kind in kinds}
    for seed in range(seeds):
        for kind in kinds:
            model = train(kind, seed, steps, target)
            bound = importance_weighted_bound(model, x).double()
            bounds[kind].append(bound)
            rate = kl_of(*model.encode(x)).sum(1).mean().item()
            living, difference = living_share(model, x), bound - bounds[kinds[0]][seed]
            print(
                f"seed {seed}  {kind:10}  living {living:4.0%}  KL {rate:5.2f}  bound {_mean(bound)} nats"
                f" a text, {_mean(difference)} from {kinds[0]}",
                flush=True,
            )
    for kind in kinds[1:]:
        pairs = zip(bounds[kind], bounds[kinds[0]], strict=True)
        differences = torch.stack([(mine - plain).mean() for mine, plain in pairs])
        print(f"{kind}: {_mean(differences)} nats a text over {seeds} seeds")


def _mean(values):
    """Mean and its standard error, where there are two values at least."""
    if len(values) < 2:
        return f"{values.mean():.3f}"
    return f"{values.mean():.3f} ± {values.std() / len(values) ** 0.5:.3f}"


def main(folder="runs/text", steps=STEPS):
    """Both runs: FOLDER-collapse and FOLDER-rescued."""
    train("plain", steps=steps, folder=f"{folder}-collapse")
    train("thermostat", steps=steps, folder=f"{folder}-rescued")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("steps", nargs="?", type=int, default=STEPS)
    parser.add_argument("--rescue", action="store_true", help="set beta by a thermostat")
    parser.add_argument("--compare", type=int, metavar="SEEDS", help="train both for so many seeds and test")
    given = parser.parse_args()
    torch.set_num_threads(1)  # small matrices; and the same numbers each time
    if given.compare:
        compare(given.compare, steps=given.steps)
    else:
        kind, name = ("thermostat", "rescued") if given.rescue else ("plain", "collapse")
        train(kind, steps=given.steps, folder=given.folder or f"runs/text-{name}")
