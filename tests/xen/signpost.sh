# Cases of the signpost itself, sourced by tests/xen/run: signpost-xen under the lab. Uses its report, check, here, work and build, and
# what devices.sh defines.
signpost=$build/unikernel/signpost-xen
port=${XENLAB_PORT:-5353}
options="ip=10.0.2.20/24 gw=10.0.2.2 zone=me.signpost"
ask() { dig @127.0.0.1 -p $port +tries=5 +time=2 +dnssec "$@"; }
streams() { /usr/bin/python3 -u "$here/field/streams.py" "$1" 127.0.0.1#$port "${@:2}"; }
answers() { ask +noall +answer "$@" >"$work/answer" && grep -q "IN[[:space:]]$2[[:space:]]" "$work/answer"; }
serial() { ask +short me.signpost SOA | awk '$3 ~ /^[0-9]+$/ { print $3; exit }'; }
# The last DS on a console.
ds_of() { sed -n 's/^signpost: ds [^ ]* *[0-9]* IN DS \(.*[0-9A-Fa-f]\).*/\1/p' "$state/console/$1.log" | tail -n 1; }
validates() { # GUEST NAME TYPE: delv, with nothing but the DS on the guest's console
    printf 'trust-anchors { me.signpost. static-ds %s; };\n' "$(ds_of "$1" | awk '{ print $1, $2, $3, "\"" $4 "\"" }')" >"$work/anchor"
    delv @127.0.0.1 -p $port -a "$work/anchor" +root=me.signpost "$2" "$3" >"$work/delv" 2>&1
    grep -q '; fully validated' "$work/delv" || { cat "$work/anchor" "$work/delv"; false; }
}
not_empty() { # FILE: soon
    local i
    for i in $(seq 150); do
        [ -s "$1" ] && return
        sleep 0.1
    done
    return 1
}
started() { # GUEST: created now and by hand, so that nothing else takes the CPU
    in_dom0 "xl create /lab/$1.cfg" >"$work/errors" 2>&1 || cat "$work/errors"
    "$lab" await "$state" "$1" 'signpost: serving me.signpost' 20
}
first_answer() { # GUEST: says how long the first answer takes, and the guest's own CPU time by then
    in_dom0 "dnsq first 10.0.2.20 me.signpost 20 xl create /lab/$1.cfg >/tmp/first; xencpu $1 >>/tmp/first; cat /tmp/first" >"$work/first"
    awk -v size="$(stat -c %s "$signpost")" '/^first answer/ { wall = $4 } / [0-9]+ [0-9]+$/ { cpu = $3 / 1e6 }
        END { printf "# signpost-xen: image %d bytes; first answer %s s after xl create, %.1f ms of the guest'"'"'s CPU time (emulated)\n", size, wall, cpu }' \
        "$work/first" | tee -a "$tap"
    grep -q '^first answer' "$work/first" || { cat "$work/first"; false; }
}

memory_case() { # without a disk
    lab_start --dom0-ip 10.0.2.15/24 --guest "name=mem,kernel=$signpost,memory=16,cmdline=$options,udp=$port:53,tcp=$port:53,start=0" \
        --guest "name=odd,kernel=$signpost,memory=16,cmdline=ip=10.0.2.300/24 zone=me.signpost" \
        --guest "name=nonet,kernel=$signpost,memory=16,cmdline=$options" \
        --guest "name=nodisk,kernel=$signpost,memory=16,cmdline=$options disk=xvda,net=1"
    check "signpost: a bad option is said" "$lab" await "$state" odd 'cannot use the option ip=10.0.2.300/24' 10
    check "signpost: so is a missing network" "$lab" await "$state" nonet 'the network: not found; give the guest a vif' 10
    check "signpost: and a missing disk" "$lab" await "$state" nodisk 'the disk: not found; give the guest a vbd' 10
    check "signpost: it boots and answers" first_answer mem
    check "signpost: it says that it keeps nothing" console 'no disk: serving from memory' mem
    check "signpost: the SOA, signed" answers me.signpost SOA
    check "signpost: the DNSKEY, signed" answers me.signpost DNSKEY
    check "signpost: the SOA validates from the DS on the console" validates mem me.signpost SOA
    check "signpost: the SOA over TCP" answers me.signpost SOA +tcp
    # Frames that others send to all wake it; between them it does nothing, also while somebody is connected who says nothing.
    streams across me.signpost "$work/never" >"$work/silent" &
    local silent=$!
    check "signpost: somebody is connected" not_empty "$work/silent"
    check "signpost: idle, it takes no CPU time" in_dom0 'for i in 1 2 3 4 5 6 7 8; do a=$(xencpu mem); sleep 1.5; b=$(xencpu mem); echo "$a / $b"; [ -n "$a" ] && [ "$a" = "$b" ] && exit 0; done; exit 1'
    check "signpost: and who was connected still is" kill -0 $silent
    kill $silent
    in_dom0 'xl shutdown mem'
    check "signpost: it ends when asked to" "$lab" await "$state" mem 'signpost: ended' 10
    lab_stop
}

disk_kept_case() { # destroyed, and started again from its disk
    truncate -s 8M "$work/kept"
    yes "something else" | head -c 1048576 >"$work/other"
    cp "$work/other" "$work/before"
    lab_start --disk "d0=$work/kept" --disk "d1=$work/other" --guest "name=other,kernel=$signpost,memory=16,cmdline=$options disk=xvda,net=1,vbd=d1" \
        --guest "name=one,kernel=$signpost,memory=16,cmdline=$options disk=xvda,ip=10.0.2.20,udp=$port:53,vbd=d0,start=0" \
        --guest "name=two,kernel=$signpost,memory=16,cmdline=$options disk=xvda,ip=10.0.2.20,vbd=d0,start=0"
    check "signpost: a disk with something else on it is refused" "$lab" await "$state" other 'signpost: cannot go on: ' 15
    check "signpost: and not written to" cmp "$work/other" "$work/before"
    check "signpost: a blank disk is made its own" started one
    local before after
    before="$(ds_of one) $(serial)"
    in_dom0 'xl destroy one'
    check "signpost: after it was destroyed it starts from its disk" started two
    after="$(ds_of two) $(serial)"
    check "signpost: key and serial are the same ($before, $after)" [ "$(wc -w <<<"$before")" = 5 -a "$before" = "$after" ]
    check "signpost: and the zone validates" validates two me.signpost SOA
    in_dom0 'xl reboot two'
    check "signpost: asked to reboot, it ends in a clean way" "$lab" await "$state" two 'signpost: ended' 10
    check "signpost: having understood it" console 'signpost: asked to reboot' two
    lab_stop
}

memory_case
disk_kept_case
