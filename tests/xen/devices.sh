# Cases of the devices, sourced by tests/xen/run: signpost-devices under the lab. Uses its report, check, here, work and build.
lab="$here/lab/xenlab"
state=$work/state
devices=$build/unikernel/signpost-devices
console() { grep -q "$1" "$state/console/$2.log"; }
in_dom0() { "$lab" exec "$state" -- "$@"; }
lab_start() { # OPTIONS...
    "$lab" start "$state" --timeout 90 "$@" >"$work/errors" 2>&1 || cat "$work/errors"
}
lab_stop() { # says what happened when something in this lab went wrong
    [ -z "$failed" ] || tail -n 15 "$state"/console/*.log
    "$lab" stop "$state"
}

xenstore_case() {
    lab_start --guest "name=store,kernel=$devices,memory=16,cmdline=store"
    check "devices: the xenstore is read, written and watched" "$lab" await "$state" store 'devices: ready' 20
    # Two seconds with nothing to do cost not a nanosecond of the guest's CPU.
    check "devices: idle means idle" in_dom0 'a=$(xencpu store); sleep 2; b=$(xencpu store); echo "$a / $b"; [ -n "$a" ] && [ "$a" = "$b" ]'
    check "devices: what a transaction wrote is there" in_dom0 'd=/local/domain/$(xl domid store)/data; [ "$(xenstore-read $d/one $d/two | tr "\n" " ")" = "1 22 " ]'
    in_dom0 'xenstore-write /local/domain/$(xl domid store)/data/ping hello'
    check "devices: a watch wakes the guest" "$lab" await "$state" store 'devices: ping hello' 5
    in_dom0 'xenstore-write /local/domain/$(xl domid store)/data/ping stop'
    check "devices: and the guest ends" "$lab" await "$state" store 'devices: done' 5
    lab_stop
}

xenstore_case
