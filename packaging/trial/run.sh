#!/usr/bin/env bash
# Tries the built wheel as a user does: another Unix user, an empty folder, no network once the assets are there.
# Needs root, Linux, and a Python that other users can run.
# usage: packaging/trial/run.sh [PART...]      parts: readme own caches damage disks interrupts signals pages; all if left out
# PYTHON=/usr/bin/python3 and TRIAL_USER=scope by default; KEEP=1 keeps what was installed and fetched for another try.
# Installs what constraints.txt pins, unless PIP_CONSTRAINT names another file; any PIP_ variable reaches the user's pip
# (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL where a CPU build of torch is).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-/usr/bin/python3} user=${TRIAL_USER:-scope}
id "$user" >/dev/null 2>&1 || useradd --create-home "$user"
home=$(getent passwd "$user" | cut -d: -f6)
mapfile -t pip_settings < <(env | grep ^PIP_)
as_user() { runuser -u "$user" -- env -i HOME="$home" PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 "${pip_settings[@]}" "$@"; }

built=$(mktemp -d)
mounted=()
leave() {
    for place in "${mounted[@]}"; do umount "$place"; done
    rm -rf "$built" "${other:-}"
    [ -n "${KEEP:-}" ] || rm -rf "$home/venv" "$home/.cache/babelscope"
}
trap leave EXIT
"$python" -m venv "$built/venv"
"$built/venv/bin/pip" wheel --quiet --no-deps --wheel-dir "$built" "$root"
rm -f "$home"/babelscope-*.whl
install -o "$user" -m 644 "$built"/*.whl "$root/constraints.txt" "$home/"
pip_settings+=("PIP_CONSTRAINT=${PIP_CONSTRAINT:-$home/constraints.txt}")
rm -rf "$home/trial" "$home/pages"
mkdir "$home/pages"
cp -r "$root/README.md" "$root/docs" "$root/packaging/trial/steps.py" "$home/pages/"
chown -R "$user" "$home/pages"

[ -x "$home/venv/bin/babelscope" ] || as_user "$python" -m venv "$home/venv"
as_user "$home/venv/bin/pip" install --quiet "$home"/babelscope-*.whl
as_user "$home/venv/bin/pip" install --quiet --no-deps --force-reinstall "$home"/babelscope-*.whl
as_user "$home/venv/bin/pip" check
as_user "$home/venv/bin/babelscope" fetch asterisk whisper-base e5-small

small=()
for size in 300k 900k 1600k; do
    place="$home/small-$size"
    mkdir -p "$place"
    mount -t tmpfs -o size=$size,uid="$(id -u "$user")" tmpfs "$place"
    mounted+=("$place") small+=("$place")
done
other=$(mktemp -d) # of root: read by the user, not written
cp -r "$home/.cache/babelscope/." "$other"
chown -R root "$other"
chmod -R a+rX,go-w "$other"

unshare --net bash -c "ip link set lo up; exec \"\$@\"" - runuser -u "$user" -- env -i HOME="$home" \
    PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 "$home/venv/bin/python" "$home/pages/steps.py" "$home/pages" "$home/trial" \
    "$@" --small "${small[@]}" --other-cache "$other"
