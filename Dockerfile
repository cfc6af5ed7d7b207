# The dashboard on the runs in /runs, which it does not change. docs/remote.md says how it is started.
#   pip install build && python -m build --wheel && docker build -t dashboard .
FROM python:3.12-slim

COPY dist/*.whl /tmp/
RUN [ "$(ls /tmp/*.whl | wc -l)" = 1 ] || { echo "dist/ holds several wheels: leave the one that is to be served" >&2; exit 1; }
RUN pip install --no-cache-dir "$(ls /tmp/*.whl)[ui]" && rm /tmp/*.whl \
    && useradd --create-home dashboard
USER dashboard
WORKDIR /home/dashboard

EXPOSE 8501
HEALTHCHECK --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=3)"]

# It listens on all addresses of the container, so it starts only with PROBES_TOKEN, or with --unauthenticated added.
ENTRYPOINT ["python", "-m", "probes", "ui", "/runs", "--host", "0.0.0.0", "--no-browser", "--read-only"]
CMD ["--port", "8501"]
