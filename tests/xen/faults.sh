# Disks and networks that are wrong, fail, fill up, stand still or go away: what the console says, what is answered, and that the guest
# ends when it is asked to. Sourced by tests/xen/run after resume.sh, whose helpers it uses.
base="gw=10.0.2.2 zone=me.signpost disk=xvda"
begins() { in_dom0 "xl create /lab/$1.cfg" >"$work/errors" 2>&1 || { cat "$work/errors"; false; }; }
says() { begins "$1" && said "$1" "$2"; } # GUEST TEXT, once it is started: one at a time, which dom0 takes better
said() { "$lab" await "$state" "$1" "$2" 60; }
ended() { # GUEST REASON, as the xl that waits for it understands it: 0 power off, 1 reboot, 3 crash
    in_dom0 "for i in \$(seq 120); do grep -qs 'reason code $2 ' /var/log/xen/xl-$1.log* && exit 0; sleep 0.5; done; tail -n 5 /var/log/xen/xl-$1.log*; exit 1"
}
updates() { # PORT NAME PATTERN: what an update is told
    load update "$1" me.signpost "$work/good.key" "$2" >"$work/update" && grep -q "$3" "$work/update" || { cat "$work/update"; false; }
}
asks() { # PORT: ten queries in a row are answered
    local i
    for i in $(seq 10); do
        dig @127.0.0.1 -p "$1" +tries=10 +time=2 +short me.signpost SOA | grep -q hostmaster || return 1
    done
}
throttle() { "$lab" qmp "$state" block_set_io_throttle "$1" "$2" 0 0 0 0 0 >"$work/errors"; } # DISK BYTES-PER-SECOND, 0: no limit
refused() { # GUEST DISK-OPTIONS: a guest that will not start with this disk
    guests+=(--disk "$1=$work/$1" --guest "name=$1,kernel=$signpost,memory=16,cmdline=$base ip=10.0.2.30/24,net=1,vbd=$1${2-},start=0")
}

# Disks that it must not start with, each left as it was.
refused_case() {
    local guests=() disk
    linux_log "$work/good" 2M
    for disk in super version middle shrunk readonly; do cp "$work/good" "$work/$disk"; done
    for disk in super version middle; do /usr/bin/python3 "$here/damage.py" "$work/$disk" $disk; done
    truncate -s 1M "$work/shrunk"
    truncate -s 128K "$work/tiny"
    for disk in super version middle shrunk tiny; do refused $disk; done
    refused readonly :xvda:r
    md5sum "$work"/{super,version,middle,shrunk,tiny,readonly} >"$work/sums"
    lab_start --timeout 300 "${guests[@]}"
    check "faults: damaged superblocks are no log" says super 'cannot go on: the disk is not blank and holds no log; nothing was changed'
    check "faults: a log of another version is said to be so" says version 'cannot go on: the log on the disk is of another version'
    check "faults: so is one that is damaged in its middle" says middle 'cannot go on: the log on the disk is damaged'
    check "faults: and a disk that has shrunk" says shrunk 'cannot go on: the disk is smaller than the one that its log was made for'
    check "faults: and one that is too small for any log" says tiny 'the disk is too small, a log needs 256 KiB'
    check "faults: and one that is read-only" says readonly 'it is read-only'
    for disk in super version middle shrunk tiny readonly; do check "faults: $disk: it has ended as one that failed" ended $disk 3; done
    check "faults: none of them was written to" md5sum --quiet -c "$work/sums"
    lab_stop
}

# Disks that go wrong while it serves: updates are refused or wait, queries are answered, and it ends.
failing_case() {
    local p1=$port p2=$((port + 1)) p3=$((port + 2)) p4=$((port + 3)) waits
    cp "$work/good" "$work/fails"
    cp "$work/good" "$work/slow"
    truncate -s 4M "$work/slow" # larger than its log
    cp "$work/good" "$work/gone"
    linux_log "$work/full" 1M
    linux_signpost "$work/full.dir" load fill $port me.signpost "$work/full.key" >"$work/filled"
    cp "$work/full.dir/log" "$work/full"
    # The first writes succeed, then none.
    for i in 1 2 3 4 5 6 7 8; do printf '[set-state]\nevent = "write_aio"\nstate = "%d"\nnew_state = "%d"\n' $i $((i + 1)); done >"$work/fail.conf"
    printf '[inject-error]\nevent = "write_aio"\nstate = "9"\nerrno = "5"\n' >>"$work/fail.conf"
    lab_start --timeout 600 --dom0-ip 10.0.2.15/24 --disk "fails=$work/fails,fail=$work/fail.conf" --disk "slow=$work/slow" --disk "gone=$work/gone" --disk "full=$work/full" \
        --guest "name=fails,kernel=$signpost,memory=16,cmdline=$base ip=10.0.2.20/24,ip=10.0.2.20,udp=$p1:53,vbd=fails,start=0" \
        --guest "name=full,kernel=$signpost,memory=16,cmdline=$base ip=10.0.2.21/24,ip=10.0.2.21,udp=$p2:53,vbd=full,start=0" \
        --guest "name=gone,kernel=$signpost,memory=16,cmdline=$base ip=10.0.2.22/24,ip=10.0.2.22,udp=$p3:53,vbd=gone,start=0" \
        --guest "name=slow,kernel=$signpost,memory=16,cmdline=$base ip=10.0.2.23/24,ip=10.0.2.23,udp=$p4:53,vbd=slow,start=0"

    says full 'serving me.signpost'
    load update $p2 me.signpost "$work/full.key" more >"$work/update"
    check "faults: a full disk: the update's answer says so" grep -q "^SERVFAIL.*the signpost's disk is full" "$work/update"
    check "faults: and so does the console" said full 'the disk is full: updates that add something are refused'
    check "faults: queries are answered" asks $p2
    load gone $p2 me.signpost "$work/full.key" f0 >"$work/update"
    check "faults: and what removes something is taken" grep -q '^NOERROR' "$work/update"
    in_dom0 'xl shutdown full' >"$work/errors" 2>&1

    says fails 'serving me.signpost'
    for i in $(seq 12); do load update $p1 me.signpost "$work/good.key" w$i; done >"$work/update" 2>&1
    check "faults: a disk that fails: updates are taken before" grep -q '^NOERROR' "$work/update"
    check "faults: and refused from then on, saying why" grep -q "^SERVFAIL.*the signpost's disk has failed" "$work/update"
    check "faults: and so does the console" said fails 'the disk has failed: .* updates are refused and queries answered'
    check "faults: queries are answered" asks $p1
    in_dom0 'xl reboot fails' >"$work/errors" 2>&1
    check "faults: it ends when asked to, for the reason asked for" ended fails 1

    # One that stands still (what is under way when that begins may still get there), and goes away under an update.
    says gone 'serving me.signpost'
    throttle gone 1
    load press $p3 me.signpost "$work/good.key" >"$work/waits" &
    waits=$!
    check "faults: a disk that stands still: queries are answered meanwhile" asks $p3
    check "faults: and the update waits" kill -0 $waits
    in_dom0 'xl block-detach gone xvda' >"$work/errors" 2>&1 &
    check "faults: detached under it, the disk has failed" said gone 'the disk has failed: [1-9][0-9]* changes that were not on it are taken back'
    throttle gone 0
    wait $waits
    check "faults: and the update is told" grep -q '^SERVFAIL' "$work/waits"
    in_dom0 'xl network-detach gone 0' >"$work/errors" 2>&1
    said gone 'its backend closes'
    in_dom0 'xl shutdown gone' >"$work/errors" 2>&1
    check "faults: without disk and network it ends when asked to" ended gone 0

    # Still from the beginning: nothing is known yet.
    throttle slow 1
    says slow 'the disk xvda has'
    ask_slow() { dig @127.0.0.1 -p $p4 +tries=10 +time=2 +ednsopt=15 me.signpost SOA; }
    check "faults: before the log is read there is no answer but a clear one" grep -q 'SERVFAIL' <(ask_slow)
    in_dom0 'xl shutdown slow' >"$work/errors" 2>&1
    check "faults: and it ends when asked to" ended slow 0
    throttle slow 0
    check "faults: a disk larger than its log is used as far as that goes" says slow 'the log was made for a disk of 2048 KiB'
    said slow 'serving me.signpost'
    in_dom0 'netback-restart 0; xl network-detach slow 0; xl network-attach slow mac=00:16:3e:00:00:04 bridge=xenbr0 script=vif-lab' >"$work/errors" 2>&1
    check "faults: netback restarted, then the vif detached and attached: it answers" asks $p4
    check "faults: and takes updates" updates $p4 after '^NOERROR'
    throttle slow 1
    load press $p4 me.signpost "$work/good.key" >"$work/waits" &
    waits=$!
    check "faults: a disk that stands still again: queries are answered" asks $p4
    in_dom0 'xl reboot slow' >"$work/errors" 2>&1
    check "faults: asked to end it waits for the disk, but not for ever, and says what is lost" said slow 'the disk takes nothing: ending without [1-9]'
    check "faults: and ends for the reason asked for" ended slow 1
    throttle slow 0
    kill $waits 2>/dev/null
    lab_stop
}

refused_case
failing_case
