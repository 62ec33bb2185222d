# The operator's image and the agent's: `docker build --target operator .`, `docker build --target agent .`
#
# Dependencies stand in layers of their own, so that a change of the source rebuilds in seconds.
# There is no syntax line: it would make the engine fetch a frontend, also where no registry is reached.

FROM python:3.13-slim AS python
# Upstream's slim image comes without bytecode. Compiled once here, every start is the faster for it.
RUN python3 -m compileall -q -j 0 -x '(site|dist)-packages|ensurepip|idlelib|/test/' \
      "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/package \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1


FROM python:3.13-slim AS requirements
COPY pyproject.toml /
RUN python3 -c "import tomllib; project = tomllib.load(open('/pyproject.toml', 'rb'))['project']; \
      [open(f'/{extra}.txt', 'w').write('\n'.join(project['dependencies'] + project['optional-dependencies'][extra])) \
       for extra in ('operator', 'agent')]"


FROM python:3.13-slim AS build
# Set these where packages come from a mirror. They stay in this stage and reach neither image.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PIP_DEFAULT_TIMEOUT=60
RUN python3 -m venv --without-pip /opt/venv && python3 -m pip install hatchling


FROM build AS operator-dependencies
COPY --from=requirements /operator.txt /
RUN python3 -m pip --python /opt/venv/bin/python install --requirement /operator.txt


FROM build AS agent-dependencies
COPY --from=requirements /agent.txt /
RUN python3 -m pip --python /opt/venv/bin/python install --requirement /agent.txt


FROM build AS package
WORKDIR /source
COPY pyproject.toml ./
COPY operator operator
# The package's metadata names a README, which no image needs.
RUN touch README.md && python3 -m pip install --no-deps --no-build-isolation --target /opt/package .


FROM python AS operator
# The user has a name because ssh refuses to run for one that has none.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends openssh-client \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin backup-operator
COPY --from=operator-dependencies /opt/venv /opt/venv
COPY --from=package /opt/package /opt/package
USER 10001:10001
CMD ["kopf", "run", "--standalone", "--all-namespaces", "--liveness=http://0.0.0.0:8080/healthz", "--module=compose_backup.handlers"]


FROM python AS agent
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates restic \
 && rm -rf /var/lib/apt/lists/*
COPY --from=agent-dependencies /opt/venv /opt/venv
COPY --from=package /opt/package /opt/package
# How snapshots call what is archived, be it a live volume or its stage: the agent makes /tmp/source lead to it.
RUN ln -s /tmp/source/volumes /volumes && ln -s /tmp/source/manifest /manifest
# It reads and writes files of every owner: root, with the few capabilities that the operator leaves it.
ENTRYPOINT ["python", "-m", "compose_backup.agent"]
