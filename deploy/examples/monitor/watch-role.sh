#!/bin/sh
# Says when the active role moves, from the metrics of a node, by curl alone: watch-role.sh [URL]
#
# On the node itself there is a shorter way, which needs no endpoint: duet events role --json
url=${1:-http://127.0.0.1:9572/metrics}
last=
while sleep 1; do
    role=$(curl -fs --max-time 5 "$url" | sed -n 's/^duet_role{.*state="\([a-z]*\)"} 1$/\1/p')
    [ "${role:=unknown}" = "$last" ] || echo "$(date -u +%FT%TZ) $url: $role"
    last=$role
done
