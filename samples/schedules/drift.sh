#!/bin/sh
# One drift check of the newest batch, for cron. Every path below is yours to change.
#   drift.sh RESULTS [VIDEOS]   RESULTS: the folder that fea analyze or fea transform wrote; VIDEOS: what it was made from
# Prints nothing while all is well, so that cron sends a mail only when somebody should look.
set -u
RESULTS=${1:?give the folder of the results}
VIDEOS=${2:-}
BASELINE=${BASELINE:?name a file that fea drift baseline made of recordings that were looked at}
PAGES=${PAGES:-$HOME/drift} # a folder for each check
OUT=$PAGES/$(date +%Y-%m-%dT%H%M)

mkdir -p "$PAGES" || exit 1
set -- "$RESULTS" --baseline "$BASELINE" --out "$OUT"
[ -n "$VIDEOS" ] && set -- "$@" --videos "$VIDEOS"
said=$(fea drift check "$@" 2>&1)
code=$?
case $code in
  0) ;; # ok, or watch: the page is there
  3) echo "ALARM: this batch is not like the recordings that the model was validated on. Look at $OUT/drift.html"; echo "$said" ;;
  *) echo "The drift check did not run (exit code $code)."; echo "$said" ;;
esac
exit $code
