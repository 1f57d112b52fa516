#!/usr/bin/env bash
# The whole of HiveMind on one machine: a pool, two workers, a requester and an owner.
#
# Renders a picture in twelve tasks, each in a container of its own, on two workers; pays their owner;
# checks the books. Ends with 0 only where the picture is there and every micro-CPT is accounted for.
# Everything but the picture lies in a temporary folder; only processes started here are stopped.
# `make demo` runs this. Where no Docker answers, the workers' built-in runtime makes the containers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${CARGO_TARGET_DIR:?run this through make demo}"
readonly HIVEMIND=$CARGO_TARGET_DIR/debug/hivemind
readonly PICTURE=demo-out/mandelbrot.png
# A worker attacks its own isolation at its first start.
readonly READY_SECONDS=120
readonly RENDER_TIMEOUT=120s

umask 077
work=$(mktemp -d "${TMPDIR:-/tmp}/hivemind-demo.XXXXXX")
pids=()
done_well=no

step() { printf '\n== %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# Workers end before the pool, so that they can say goodbye to it.
stop_all() {
    local at
    trap - EXIT
    for ((at = ${#pids[@]} - 1; at >= 0; at--)); do
        kill -TERM "${pids[at]}" 2>/dev/null || true
        wait "${pids[at]}" 2>/dev/null || true
    done
    if [ "$done_well" = yes ]; then
        rm -rf "$work"
    else
        tail -n 20 "$work"/*.log >&2 2>/dev/null || true
        printf 'demo: failed; everything it left lies in %s\n' "$work" >&2
    fi
}
trap stop_all EXIT
trap 'exit 130' INT TERM

# Starts a server in the background and waits for its ready line: serve NAME ARGS...
serve() {
    local name=$1 deadline=$((SECONDS + READY_SECONDS))
    shift
    : >"$work/$name.out"
    "$HIVEMIND" --data "$work/$name" "$@" >"$work/$name.out" 2>"$work/$name.log" </dev/null &
    pids+=($!)
    until grep -q '^ready' "$work/$name.out"; do
        kill -0 "${pids[-1]}" 2>/dev/null || die "$name ended at once"
        [ "$SECONDS" -lt "$deadline" ] || die "$name is not ready after $READY_SECONDS s"
        sleep 0.05
    done
}

# Runs a command as a user, each with a data folder that remembers their login: as NAME ARGS...
as() {
    local user=$1
    shift
    "$HIVEMIND" --data "$work/home-$user" --server "$server" --ca "$work/pool/ca.pem" "$@" </dev/null
}

# What a user has available, in micro-CPT.
balance() {
    local json
    json=$(as "$1" --json wallet balance)
    [[ $json =~ \"available\":\ *\{[^}]*\"micro\":\ *(-?[0-9]+) ]] || die "no balance in: $json"
    printf '%s\n' "${BASH_REMATCH[1]}"
}

register() {
    head -c 18 /dev/urandom | base64 >"$work/$1.password"
    as "$1" --quiet register "$1" --email "$1@example.org" --password-file "$work/$1.password"
}

cpt() { awk -v micro="$1" 'BEGIN { printf "%.6f CPT", micro / 1000000 }'; }

step "building hivemind (a few minutes the first time) and the renderer"
cargo build --workspace --locked </dev/null
renderer=$PWD/demo-out/mandelbrot
mkdir -p "$work/tiles" demo-out
rustc -O --edition 2024 -C target-feature=+crt-static -o "$renderer" demo/mandelbrot.rs
chmod 755 "$renderer"

step "starting a pool and two workers"
serve pool pool --listen 127.0.0.1:0
[[ $(<"$work/pool.out") =~ grpc=(https://[^[:space:]]+) ]] || die "no address in the pool's ready line: $(<"$work/pool.out")"
server=${BASH_REMATCH[1]}
register alice
register olga
for node in node-a node-b; do
    HIVEMIND_JOIN=$(as olga --quiet nodes join-token) serve "$node" worker --name "$node" --cpus 1 --memory 1g --disk 2g
done
as olga nodes
alice_before=$(balance alice)
olga_before=$(balance olga)

tiles=$("$renderer" count)
step "alice sends the renderer, one static file, to the pool; it is packed into an image on the way"
image=$(as alice --quiet image push "$renderer")
printf '%s\n' "$image"
step "alice submits $tiles tasks; each renders one tile in its own container"
tasks=()
for ((tile = 0; tile < tiles; tile++)); do
    tasks+=("$(as alice --quiet submit --name "tile-$tile" --cpus 1 --memory 64m --disk 64m --timeout 60s "$image" tile "$tile")")
done
as alice wait --timeout "$RENDER_TIMEOUT" "${tasks[@]}"

step "the tiles come back and become one picture"
for task in "${tasks[@]}"; do
    as alice --quiet fetch "$task" --to "$work/tiles" >/dev/null
done
rm -f "$PICTURE"
"$renderer" join "$work/tiles" "$PICTURE"
chmod 644 "$PICTURE"

step "what ran where, for how long, for how much"
as alice ps --all

step "the books"
as operator --quiet login operator --password-file "$work/pool/operator.password"
alice_after=$(balance alice)
olga_after=$(balance olga)
paid=$((alice_before - alice_after))
earned=$((olga_after - olga_before))
printf '%-18s %18s %18s\n' "" before after
printf '%-18s %18s %18s\n' "alice (requester)" "$(cpt "$alice_before")" "$(cpt "$alice_after")"
printf '%-18s %18s %18s\n' "olga (owner)" "$(cpt "$olga_before")" "$(cpt "$olga_after")"
printf 'alice paid %s, olga earned %s\n' "$(cpt "$paid")" "$(cpt "$earned")"
audit=$(as operator ledger verify)
printf '%s\n' "$audit"

[ "$(head -c 8 "$PICTURE" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || die "$PICTURE is not a PNG"
nodes=$(as alice --json ps --all | grep -oE '"node": *"node-[ab]"' | sort -u | wc -l)
[ "$nodes" = 2 ] || die "only $nodes of the two workers took part"
[ "$paid" -gt 0 ] || die "alice paid nothing"
[ "$paid" = "$earned" ] || die "alice paid $paid micro-CPT but olga earned $earned"
grep -q 'ledger: balanced' <<<"$audit" || die "the ledger is not balanced"
done_well=yes

step "done: $PICTURE"
cat <<EOF
Next, a pool and a worker of your own:   $HIVEMIND up
and, in another terminal:                $HIVEMIND register YOUR-NAME
                                         $HIVEMIND run --to tiles ./demo-out/mandelbrot tile 5
EOF
