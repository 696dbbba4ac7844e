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

echo_back() { # TEXT: a datagram from this host comes back from the guest
    "$here/lab/probe.py" udp $port "$1" 15 >"$work/probe" && grep -q "'$1'" "$work/probe"
}
tell() { in_dom0 "xenstore-write /local/domain/\$(xl domid $1)/data/ping $2"; }

xenstore_case() {
    lab_start --guest "name=store,kernel=$devices,memory=16,cmdline=store"
    check "devices: the xenstore is read, written and watched" "$lab" await "$state" store 'devices: ready' 20
    # Two seconds with nothing to do cost not a nanosecond of the guest's CPU.
    check "devices: idle means idle" in_dom0 'a=$(xencpu store); sleep 2; b=$(xencpu store); echo "$a / $b"; [ -n "$a" ] && [ "$a" = "$b" ]'
    check "devices: what a transaction wrote is there" in_dom0 'd=/local/domain/$(xl domid store)/data; [ "$(xenstore-read $d/one $d/two | tr "\n" " ")" = "1 22 " ]'
    tell store hello
    check "devices: a watch wakes the guest" "$lab" await "$state" store 'devices: ping hello' 5
    in_dom0 'xl reboot store' >"$work/errors" 2>&1
    check "devices: xl reboot is heard" "$lab" await "$state" lab 'END store reboot' 10
    lab_stop
}

net_case() { # frames in and out, and a network whose backend comes and goes
    port=${XENLAB_PORT:-5353}
    lab_start --dom0-ip 10.0.2.15/24 --guest "name=net,kernel=$devices,memory=16,cmdline=net,udp=$port:53"
    check "devices: the network comes up" "$lab" await "$state" net 'devices: net ready' 20
    check "devices: a datagram comes back" echo_back "there and back"
    check "devices: frames of full length, more of them than there are buffers" in_dom0 'ping -q -c 80 -i 0.01 -s 1472 10.0.2.20 | grep " 0% packet loss"'
    in_dom0 'netback-restart 0'
    check "devices: a restarted netback goes on with the rings as they are" echo_back "there again"
    in_dom0 'xl network-detach net 0'
    check "devices: a detached network is said" "$lab" await "$state" net 'vif 0: its backend closes' 5
    in_dom0 'xl network-attach net mac=00:16:3e:00:00:01 bridge=xenbr0 script=vif-lab'
    check "devices: and used again when it is attached again" echo_back "and once more"
    tell net stop
    check "devices: and all its grants are back" "$lab" await "$state" net 'net closed, 1016 grants free' 5
    lab_stop
}

disk_case() { # blocks, also after the guest has started again; and a disk that fails
    truncate -s 8M "$work/good" "$work/bad"
    printf '[inject-error]\nevent = "write_aio"\nerrno = "5"\n' >"$work/fail.conf"
    lab_start --disk "d0=$work/good" --disk "d1=$work/bad,fail=$work/fail.conf" \
        --guest "name=one,kernel=$devices,memory=16,cmdline=disk,vbd=d0" --guest "name=two,kernel=$devices,memory=16,cmdline=disk,vbd=d0,start=0" \
        --guest "name=bad,kernel=$devices,memory=16,cmdline=disk,vbd=d1" --guest "name=none,kernel=$devices,memory=16,cmdline=disk"
    check "devices: blocks are written, flushed and read back, many at once" "$lab" await "$state" one 'disk wrote and read 520 blocks' 20
    check "devices: and all grants are back" "$lab" await "$state" one 'disk closed, 1016 grants free' 5
    "$lab" qmp "$state" info blockstats >"$work/stats"
    check "devices: flushes reach the disk" grep -q 'd0:.* flush_operations=[1-9]' "$work/stats"
    in_dom0 'xl create /lab/two.cfg' >"$work/errors" 2>&1
    check "devices: blocks are there after a restart" "$lab" await "$state" two 'disk boots 2' 10
    check "devices: a failing disk is said" "$lab" await "$state" bad 'devices: disk: device error' 10
    check "devices: so is a missing one" "$lab" await "$state" none 'devices: disk: not found' 10
    lab_stop
}

resume_case() { # xl save and restore, and a save after which the guest goes on
    port=${XENLAB_PORT:-5353}
    truncate -s 40M "$work/save" "$work/good"
    lab_start --disk "save=$work/save,cache=unsafe" --disk "d0=$work/good" --guest "name=move,kernel=$devices,memory=16,cmdline=net,udp=$port:53" \
        --guest "name=churn,kernel=$devices,memory=16,cmdline=churn,vbd=d0,start=0"
    check "devices: a datagram comes back before a save" echo_back "before"
    in_dom0 'xl save -c move /dev/lab/save' >"$work/errors" 2>&1
    check "devices: the guest that was saved goes on" "$lab" await "$state" move 'devices: suspend cancelled' 10
    check "devices: and answers as before" echo_back "still here"
    in_dom0 'xl save move /dev/lab/save && xl restore /dev/lab/save' >"$work/errors" 2>&1
    check "devices: the restored guest finds that it has moved" "$lab" await "$state" move 'devices: resumed' 10
    check "devices: and has a network again" echo_back "after"
    tell move stop
    in_dom0 'xl create /lab/churn.cfg' >"$work/errors" 2>&1
    "$lab" await "$state" churn 'disk churns' 10
    in_dom0 'xl save churn /dev/lab/save && xl restore /dev/lab/save' >"$work/errors" 2>&1
    check "devices: a guest is restored in the middle of its writing" "$lab" await "$state" churn 'devices: resumed' 10
    tell churn stop
    check "devices: and no block of it is lost" "$lab" await "$state" churn 'disk churned well' 10
    lab_stop
}

xenstore_case
resume_case
net_case
disk_case
