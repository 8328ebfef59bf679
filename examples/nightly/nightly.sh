#!/bin/sh
# One night: is this commit slower than that of the last good night? For cron; docs/nightly.md tells the rest.
#
#   nightly.sh REPOSITORY [option=value ...]      the options are those of `bench run`
#
# Settings, from the environment:
BENCH=${BENCH:-bench}               # the command
CONFIG_NAME=${CONFIG_NAME:-tonight} # REPOSITORY/perf/tonight.yaml; BENCH_CONFIG_PATH names another folder
BASE=${BASE:-}                      # compare with this revision; empty: the last good night's
NIGHTS=${NIGHTS:-}                  # a folder; empty: bench-nights/REPOSITORY-GPU in your home
KEEP=${KEEP:-30}                    # nights that measured something
PULL=${PULL:-yes}                   # no: REPOSITORY is measured as it is
GPU=${GPU:-gpu-0}                   # the lock's name: one for each GPU
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

NIGHTS=${NIGHTS:-$HOME/bench-nights/$(basename "$PWD")-$GPU}
mkdir -p "$NIGHTS"
NIGHTS=$(cd "$NIGHTS" && pwd)

measured() { ls "$1"/*/trials.jsonl > /dev/null 2>&1; }

# Room for tonight comes first, or a full disk would stay full. Nights that measured nothing go by their age, so that a bad
# month costs no measured one. Nothing but folders that this script made has such a name.
find "$NIGHTS" -maxdepth 1 -type d -name '[0-9]*T[0-9]*Z-*' | sort -r | {
  kept=1 # tonight
  while read -r old; do
    if ! measured "$old"; then
      find "$old" -maxdepth 0 -mtime "+$KEEP" -exec rm -rf {} +
    elif [ $((kept += 1)) -gt "$KEEP" ]; then
      rm -rf "$old"
    fi
  done
}

night=$NIGHTS/$(date -u +%Y%m%dT%H%M%SZ)-$$
mkdir "$night"
log=$night/night.log
export PYTHONPATH="$PWD/src:$PWD${PYTHONPATH:+:$PYTHONPATH}"
if [ -z "${BENCH_CONFIG_PATH:-}" ] && [ -d perf ]; then
  export BENCH_CONFIG_PATH="$PWD/perf"
fi

# A shell that waits for a command hears of a signal when that has ended; one that waits behind it passes the signal on, and
# bench stores what it has. TERM, because a command in the background is deaf to INT.
behind() {
  [ -z "$stopped" ] || return "$stopped"
  "$@" &
  child=$!
  while :; do
    wait "$child" && status=0 || status=$?
    kill -0 "$child" 2> /dev/null || return "$status" # a signal ends wait, too
  done
}
child='' stopped=''
trap 'trap "" INT TERM; stopped=130; [ -z "$child" ] || kill -TERM "$child" 2> /dev/null || :' INT TERM

measure() {
  if [ "$PULL" = yes ]; then
    behind git pull --ff-only || return "${stopped:-2}"
  fi
  commit=$(git rev-parse HEAD) || return 2
  changed=$(git status --porcelain --untracked-files=no) || return 2
  base=$BASE
  [ -n "$base" ] || ! [ -f "$NIGHTS/last-good" ] || base=$(cat "$NIGHTS/last-good")
  base=$(git rev-parse --verify --end-of-options "${base:-HEAD}^{commit}") || {
    say "the base is no commit of this repository; name one: BASE=REVISION nightly.sh ..."
    return 2
  }
  behind "$BENCH" doctor || return
  behind "$BENCH" run --config-name "$CONFIG_NAME" --against "$base" \
    "results_dir='$(printf '%s' "$night" | sed "s/'/\\\\'/g")'" "$@"
}

code=0 commit='' changed='' base=''
measure "$@" >> "$log" 2>&1 || code=$?
case $code in
  0 | 1 | 4) measured "$night" || code=2 ;; # no outcome where nothing was measured
  143) code=130 ;; # told to end before it listened
esac

for run in "$night"/*/; do
  [ -d "$run" ] || continue
  # Its exit code is that of the run, which is known.
  "$BENCH" compare "$run" --markdown "${run%/}.md" --junit "${run%/}.xml" >> "$log" 2>&1 || :
done

case $code in
  0) word="not slower" ;;
  1) word="SLOWER" ;;
  4) word="not enough evidence" ;;
  130) word="interrupted" ;;
  *) word="not measured (exit code $code)" ;;
esac
[ "$code" -ne 0 ] || [ "$base" != "$commit" ] || [ -n "$changed" ] || word="compared with itself: nothing is shown"
{
  echo "$word: $(git log -1 --format='%h %s' "${commit:-HEAD}") against $(git log -1 --format='%h %s' "${base:-HEAD}"), on $GPU"
  [ -z "$changed" ] || printf 'with changes that are in no commit, so it cannot become the base:\n%s\n' "$changed"
  cat "$night"/*.md 2> /dev/null || tail -n 20 "$log"
  echo "all of it: $night"
} | tee "$night/summary" # which is mailed even if the disk is full

# Moved there whole: half a name, on a full disk, would be no commit. A base that was named is not the last good night's.
if [ "$code" -eq 0 ] && [ -z "$changed" ] && { [ -z "$BASE" ] || [ "$base" = "$commit" ]; }; then
  printf '%s\n' "$commit" > "$night/last-good"
  mv "$night/last-good" "$NIGHTS/last-good"
fi
exit "$code"
