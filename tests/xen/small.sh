# Cases of small guests, sourced by tests/xen/run: how much fits into 8 and 16 MiB with a disk. Uses its report, check, here, work and
# build, and what devices.sh and signpost.sh define. The disks are logs of signpostd on this host, with the same zone on each.
ctl() { "$build/signpostd/ctl/signpostctl" --data "$work/zone" "$@"; }
small_disk() { # COUNT SIZE: "$work/small-COUNT", a log with so many devices; "$work/tsig", a key for all names
    local pid status
    rm -rf "$work/zone"
    mkdir "$work/zone"
    printf 'log-size = %s\n' "$2" >"$work/zone.conf"
    "$build/signpostd/linux/signpostd" --data "$work/zone" --config "$work/zone.conf" --listen 127.0.0.1:0 2>"$work/errors" &
    pid=$!
    until ctl status >/dev/null 2>&1 || ! kill -0 $pid 2>/dev/null; do sleep 0.1; done
    [ -e "$work/tsig" ] || tsig-keygen -a hmac-sha256 small.me.signpost >"$work/tsig"
    ctl zone add me.signpost --address 10.0.2.20 && ctl key add "$work/tsig" --zone me.signpost --policy 'names=* axfr' &&
        ctl zone export me.signpost >"$work/zone.text" && /usr/bin/python3 "$here/small_zone.py" "$1" "$work/zone.text" >"$work/devices.text" &&
        ctl zone import me.signpost "$work/devices.text"
    status=$?
    kill $pid
    wait $pid
    cp "$work/zone/log" "$work/small-$1"
    return $status
} >"$work/small.log" 2>&1
update() { # the lines of standard input, sent to the guest; says what failed
    { printf 'server 127.0.0.1 %s\nzone me.signpost\n' $port; cat; } >"$work/lines"
    nsupdate -t 20 -u 4 -r 5 -k "$work/tsig" "$work/lines" >"$work/update" 2>&1
}
updated() { # NAME ADDRESS: a record is added, and answered
    printf 'update add %s.me.signpost 300 A %s\nsend\n' "$1" "$2" | update || { cat "$work/update"; return 1; }
    [ "$(ask +short "$1.me.signpost" A | head -n 1)" = "$2" ]
}
serves_all() { # GUEST COUNT: the first, the last and some between, one of them validated from the DS
    local n name
    for n in 0 $(($2 / 3)) $(($2 / 2)) $(($2 - 1)); do
        name=$(printf 'device%05d' $n)
        ask +noall +answer $name.me.signpost AAAA >"$work/answer"
        grep -q "AAAA[[:space:]]$(awk -v n=$name '$1 == n && $4 == "AAAA" { print $5 }' "$work/devices-$2")\$" "$work/answer" &&
            grep -q 'RRSIG[[:space:]]AAAA' "$work/answer" || { cat "$work/answer"; return 1; }
    done
    validates "$1" $name.me.signpost AAAA
}
transfers() { # GUEST COUNT: each KEY and address of a device that was given, once (but of the one that an update has changed)
    dig @127.0.0.1 -p $port +noall +answer +onesoa +nosplit -k "$work/tsig" me.signpost AXFR >"$work/transfer"
    diff <(awk '$1 ~ /^device/ { print $1, $4, $NF }' "$work/devices-$2" | sort) \
        <(awk '$1 ~ /^device/ && $4 != "A" { sub(/\..*/, "", $1); print $1, $4, $NF }' "$work/transfer" | sort) >"$work/missing" ||
        { head "$work/missing"; tail -n 3 "$work/transfer"; false; }
}
room_of() { sed -nE 's/^signpost: (room for .*|serving .*)/\1/p' "$state/console/$1.log" | tr '\n' ' '; }
# Adds names, 8 an update, until one is refused.
fill() { # COUNT
    seq 0 8 $(($1 - 1)) | awk '{ for (i = 0; i < 8; i++) printf "update add n%d.me.signpost 300 A 192.0.2.%d\n", $1 + i, i; print "send" }' | update
    grep -q 'update failed: SERVFAIL' "$work/update"
}

small_case() {
    check "small: logs of 3500 and 10000 devices, made by signpostd" small_disks
    lab_start --timeout 200 --disk "d8=$work/small-3500" --disk "d16=$work/small-10000" \
        --guest "name=eight,kernel=$signpost,memory=8,cmdline=$options disk=xvda,ip=10.0.2.20,udp=$port:53,tcp=$port:53,vbd=d8,start=0" \
        --guest "name=sixteen,kernel=$signpost,memory=16,cmdline=$options disk=xvda,ip=10.0.2.20,vbd=d16,start=0" \
        --guest "name=less,kernel=$signpost,memory=8,cmdline=$options disk=xvda,ip=10.0.2.20,vbd=d16,start=0"
    check "small: a guest of 8 MiB starts from a disk of 3500 devices" started eight
    echo "# signpost-xen: 8 MiB: $(room_of eight)" | tee -a "$tap"
    check "small: and serves them, signed" serves_all eight 3500
    check "small: and takes an update" updated device00042 192.0.2.42
    check "small: filled with names it refuses" fill 1200
    check "small: and still answers" serves_all eight 3500
    check "small: and transfers the zone, over TCP" transfers eight 3500
    printf 'update delete n0.me.signpost\nupdate delete n1.me.signpost\nsend\n' | update
    check "small: what goes makes room" updated again 192.0.2.43
    in_dom0 'xl destroy eight && xl create /lab/less.cfg' >"$work/errors" 2>&1
    check "small: a disk with more than fits is refused, and said" "$lab" await "$state" less 'the log does not fit the configured limits' 20
    in_dom0 'xl destroy less'
    check "small: a guest of 16 MiB starts from a disk of 10000 devices" started sixteen
    echo "# signpost-xen: 16 MiB: $(room_of sixteen)" | tee -a "$tap"
    check "small: and serves them, signed" serves_all sixteen 10000
    check "small: and transfers the zone, over TCP" transfers sixteen 10000
    check "small: and takes an update" updated device09999 192.0.2.44
    lab_stop
}
small_disks() {
    local n
    for n in 3500:8M 10000:32M; do
        small_disk ${n%:*} ${n#*:} || { cat "$work/small.log"; return 1; }
        cp "$work/devices.text" "$work/devices-${n%:*}"
    done
}

small_case
