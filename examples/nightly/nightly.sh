#!/bin/sh
# One night: is this commit slower than that of the last good night? For cron; docs/nightly.md tells the rest.
#
#   nightly.sh REPOSITORY [option=value ...]      the options are those of `bench run`
#
# Settings, from the environment:
BENCH=${BENCH:-bench}              # the command
CONFIG_NAME=${CONFIG_NAME:-tonight} # REPOSITORY/perf/tonight.yaml; BENCH_CONFIG_PATH names another folder
BASE=${BASE:-}                     # compare with this revision; empty: the last good night's
NIGHTS=${NIGHTS:-$HOME/bench-nights}
KEEP=${KEEP:-30}                   # nights
PULL=${PULL:-yes}                  # no: REPOSITORY is measured as it is
GPU=${GPU:-gpu-0}                  # the lock's name: one for each GPU
LOCK=${LOCK:-/tmp/bench-$GPU.lock}
#
# Exit codes: 0 not slower, 1 slower, 4 not enough evidence, 75 another night is on this GPU; others: docs/nightly.md.
set -eu
trap '[ $? -ne 1 ] || [ "${code:-0}" -eq 1 ] || exit 2' EXIT # 1 says slower, and nothing else may

say() { printf 'nightly: %s\n' "$*" >&2; }

[ $# -ge 1 ] || { say "usage: nightly.sh REPOSITORY [option=value ...]"; exit 2; }
cd "$1" || exit 2
shift
case $KEEP in '' | 0 | *[!0-9]*) say "KEEP is '$KEEP'; it is a number of nights, 1 or more"; exit 2 ;; esac

# Opened for reading, so that all users of this machine can share it. It is free again when all that runs here has ended,
# even if this script is killed.
[ -e "$LOCK" ] || : > "$LOCK"
exec 9< "$LOCK"
flock -n 9 || {
  say "another night is on $GPU, and two on one GPU would spoil each other; nothing was started"
  say "who it is: lslocks | grep '$LOCK'"
  exit 75
}

mkdir -p "$NIGHTS"
NIGHTS=$(cd "$NIGHTS" && pwd)
night=$NIGHTS/$(date -u +%Y%m%dT%H%M%SZ)-$$
mkdir "$night"
log=$night/night.log
trap : INT TERM # bench is told as well, and stores what it has; the summary is written in any case
export PYTHONPATH="$PWD/src:$PWD${PYTHONPATH:+:$PYTHONPATH}"
if [ -z "${BENCH_CONFIG_PATH:-}" ] && [ -d perf ]; then
  export BENCH_CONFIG_PATH="$PWD/perf"
fi

measure() {
  if [ "$PULL" = yes ]; then
    git pull --ff-only || return 2
  fi
  commit=$(git rev-parse HEAD) || return 2
  [ -n "$BASE" ] || ! [ -f "$NIGHTS/last-good" ] || BASE=$(cat "$NIGHTS/last-good")
  if [ -z "$BASE" ]; then
    BASE=HEAD
    first=" (no good night yet: it is compared with itself, which shows how quiet the machine is)"
  fi
  BASE=$(git rev-parse --verify --end-of-options "$BASE^{commit}") || {
    say "the base is no commit of this repository; name one: BASE=REVISION nightly.sh ..."
    return 2
  }
  "$BENCH" doctor || return
  "$BENCH" run --config-name "$CONFIG_NAME" --against "$BASE" "results_dir='$night'" "$@"
}

code=0 first=''
measure "$@" >> "$log" 2>&1 || code=$?

for run in "$night"/*/; do
  [ -d "$run" ] || continue
  # Its exit code is that of the run, which is known.
  "$BENCH" compare "$run" --markdown "${run%/}.md" --junit "${run%/}.xml" >> "$log" 2>&1 || :
done

case $code in
  0) word="not slower" ;;
  1) word="SLOWER" ;;
  4) word="not enough evidence" ;;
  *) word="not measured (exit code $code)" ;;
esac
{
  echo "$word: $(git log -1 --format='%h %s' "${commit:-HEAD}") against $(git log -1 --format='%h %s' "${BASE:-HEAD}")$first, on $GPU"
  cat "$night"/*.md 2> /dev/null || tail -n 20 "$log"
  echo "all of it: $night"
} > "$night/summary"
cat "$night/summary"

[ "$code" -ne 0 ] || printf '%s\n' "$commit" > "$NIGHTS/last-good"
# What is older than the last $KEEP goes; nothing but folders that this script made has such a name.
find "$NIGHTS" -maxdepth 1 -type d -name '[0-9]*T[0-9]*Z-*' | sort -r | tail -n "+$((KEEP + 1))" | while read -r old; do
  rm -rf "$old"
done
exit "$code"
