# The operator's guide (deploy/xen/README.md), followed word for word; sourced by tests/xen/run, or run by itself: tests/xen/guide.sh.
# What the guide does "on the host" before Xen is there is done on this machine, with an /etc of its own and apt-get --simulate; its reboot
# starts the lab, and from then on the host is the lab's dom0, with LVM in it. "At your desk" is a copy of the source in a network
# namespace with the addresses of the guide: the desk is the router, on the other side of a TAP device is the host, and a root, a parent
# zone (Knot) and a validating resolver (unbound) serve there too.
if [ -z "${here-}" ]; then # by itself
    set -u
    here=$(cd "$(dirname "$0")" && pwd)
    build=${SIGNPOST_BUILD:-$(cd "$here/../.." && pwd)/build} work=$(mktemp -d) tap=/dev/null failed= n=0
    trap 'guide_end; rm -rf "$work"' EXIT
    report() { echo "$1 - $2"; [ "$1" = ok ] || failed=yes; }
    check() {
        local name=$1
        shift
        if "$@"; then report ok "$name"; else report not "$name"; fi
    }
    alone=yes
fi
lab=$here/lab/xenlab
guide=$here/../../deploy/xen/README.md
guide_lab=$work/guide-lab
desk=$work/desk
zone= address= before= old= new= away_pid= # set on the way
guide_holder= guide_pids=()

value() { /usr/bin/python3 "$here/guide.py" value "$guide" "$1"; }
guide_end() {
    local pid
    [ ! -e "$guide_lab" ] || "$lab" stop "$guide_lab" >/dev/null 2>&1
    for pid in "${guide_pids[@]}" $guide_holder; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    guide_pids=() guide_holder=
}
at_desk() { PATH="$work/bin:$build/signpostd/ctl:$PATH" nsenter --target "$guide_holder" --mount --net --wd="$desk" -- "$@"; }
on_host() { "$lab" exec "$guide_lab" -t 100 -- "$@"; }
eventually() { # SECONDS COMMAND...
    local tries=$(($1 * 5)) # or more seconds, where the command takes its time
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.2
    done
}

# ---- the world of the guide ----

desk_made() { # the source as it is here, without what was built
    mkdir -p "$desk" "$work/bin" "$work/etc/upper" "$work/dns"
    tar -c -C "$here/../.." --exclude='./build*' --exclude=./.git . | tar -x -C "$desk" || return 1
    cat >"$work/bin/ssh" <<END
#!/bin/sh
[ "\$1" = root@$(value 'the host; ') ] && shift && exec "$lab" exec "$guide_lab" -t 100 -- "\$*"
END
    cat >"$work/bin/scp" <<END
#!/bin/sh
for last; do :; done
host=\${last%%:*} to=\${last#*:}
[ "\$host" = root@$(value 'the host; ') ] || { cp "\$@"; exit; } # nothing else is copied over ssh
while [ \$# -gt 1 ]; do
    "$lab" exec "$guide_lab" -i "\$1" -- "f=\$to; [ ! -d \$to ] || f=\$to/\${1##*/}; cat >\\\$f" || exit
    shift
done
END
    chmod 755 "$work/bin"/*
}
world_made() {
    local router
    router=$(value 'the router')
    unshare --mount --net sh -ec '
        mount --make-rprivate /
        mount -t tmpfs private "$1/etc"
        mkdir "$1/etc/upper" "$1/etc/work"
        mount -t overlay -o "lowerdir=/etc,upperdir=$1/etc/upper,workdir=$1/etc/work" overlay /etc
        rm -f /etc/resolv.conf
        echo "nameserver 127.0.0.1" >/etc/resolv.conf
        mkdir -p /etc/network/interfaces.d
        ip link set lo up
        ip addr add 198.18.0.2/32 dev lo
        ip tuntap add dev guide mode tap
        ip addr add "$2/24" dev guide
        ip link set guide up
        touch "$1/world"
        exec sleep infinity' sh "$work" "$router" &
    guide_holder=$!
    eventually 10 test -e "$work/world"
}
host_booted() { # the guide's reboot: Xen, dom0, its bridge, a volume group, and xl's console client
    local archive
    truncate -s 160M "$work/pv"
    at_desk "$lab" start "$guide_lab" --timeout 1200 --tap guide --dom0-ip "$(value "the host's address")" --disk "pv=$work/pv" >"$work/errors" 2>&1 || { cat "$work/errors"; return 1; }
    archive=$("$here/lab/build-lvm.sh") || return 1
    "$lab" exec "$guide_lab" -i "$archive" -- 'tar -xz -C / && lvm-start && ln -s vif-lab /etc/xen/scripts/vif-bridge && mkdir -p /etc/default' &&
        "$lab" exec "$guide_lab" -i "${archive%/*}/root/etc/default/xendomains" -- 'cat >/etc/default/xendomains' &&
        on_host "vgcreate $(value 'a volume group') /dev/lab/pv" >/dev/null
}

# A zone signed with keys of its own; leaves its DS in dsset-ZONE.
signed_zone() { # ZONE FILE
    (cd "$work/dns" && dnssec-keygen -q -a ED25519 -f KSK "$1" >>keys && dnssec-signzone -q -S -z -o "$1" -f "$2.signed" "$2" >>log 2>&1) ||
        { cat "$work/dns/log"; return 1; }
}
# The root and the parent zone, which has taken what the guide wrote for it; and somebody's resolver.
parent_has_it() {
    local parent
    parent=$(value 'the zone')
    parent=${parent#*.}
    cd "$work/dns" || return 1
    {
        printf '$TTL 60\n@ SOA ns.%s. hostmaster.%s. 1 3600 600 86400 60\n@ NS ns.%s.\nns A 198.18.0.2\n' $parent $parent $parent
        cat "$desk/for-the-parent"
    } >parent
    signed_zone "$parent." parent || return 1
    {
        printf '$TTL 60\n@ SOA a.root-server. hostmaster.root-server. 1 3600 600 86400 60\n@ NS a.root-server.\na.root-server. A 198.18.0.2\n'
        printf '%s. NS ns.%s.\nns.%s. A 198.18.0.2\n' $parent $parent $parent
        cat "dsset-$parent."
    } >root
    signed_zone . root || return 1
    cat >knot.conf <<END
server:
    listen: 198.18.0.2@53
    rundir: "$work/dns"
database:
    storage: "$work/dns"
template:
  - id: default
    storage: "$work/dns"
    journal-content: none
    zonefile-sync: -1
zone:
  - domain: .
    file: root.signed
  - domain: $parent
    file: parent.signed
END
    printf '. 60 IN NS a.root-server.\na.root-server. 60 IN A 198.18.0.2\n' >hints
    cat >unbound.conf <<END
server:
    interface: 127.0.0.1
    username: ""
    chroot: ""
    directory: "$work/dns"
    pidfile: ""
    use-syslog: no
    do-ip6: no
    root-hints: hints
    trust-anchor-file: "dsset-."
remote-control:
    control-enable: no
END
    cd "$OLDPWD" || return 1
    at_desk knotd -c "$work/dns/knot.conf" >"$work/dns/knot.log" 2>&1 &
    guide_pids+=($!)
    at_desk unbound -d -c "$work/dns/unbound.conf" >"$work/dns/unbound.log" 2>&1 &
    guide_pids+=($!)
    eventually 30 resolves . SOA || { tail "$work"/dns/*.log; return 1; }
}
resolves() { at_desk dig @127.0.0.1 +tries=1 +time=2 "$@" | grep -q 'flags:[^;]* ad[ ;]'; }

# ---- the steps ----

# What only asks is asked again until it is as the guide says; what changes something is done once.
asks() { [[ $1 =~ ^(dig|delv|signpostctl\ .*(status|metrics)|tail|cat\ /var/log/|grep|xl\ (info|list)|ssh\ [^\ ]*\ cat) ]]; }
as_said() { /usr/bin/python3 "$here/guide.py" match "$work/guide/$1.expected" "$work/guide/$1.output"; }
step_once() { # NUMBER WHERE COMMAND: its output, standard error included, in NUMBER.output
    local status=0
    case $2:$3 in
    host:reboot*) host_booted ;;
    host:apt-get*) # the packages are known and can be installed together; installing Xen's boot files here is no part of this
        at_desk sh -ec "apt-get --simulate ${3#apt-get }" ;;
    host:*) if [ -e "$guide_lab" ]; then on_host "$3"; else at_desk bash -ec "$3"; fi ;;
    desk:*) at_desk bash -o pipefail -ec "$3" ;;
    esac >"$work/guide/$1.output" 2>&1 || status=$?
    return $status
}
step() { # NUMBER WHERE COMMAND LINE
    local tries=1
    ! asks "$3" || tries=60
    [ "$3" = "${3#apt-get}" ] || echo "# guide: with --simulate, since this machine is not to become a Xen host: $3" | tee -a "$tap"
    until step_once "$1" "$2" "$3" && as_said "$1"; do
        tries=$((tries - 1))
        if [ $tries = 0 ]; then
            printf '%s, line %s: %s# %s\n--- as the guide has it:\n%s\n--- as it was:\n%s\n' "${guide##*/../}" "$4" "$2" "$3" \
                "$(cat "$work/guide/$1.expected")" "$(tail -n 30 "$work/guide/$1.output")"
            return 1
        fi
        sleep 0.5
    done
}
# ---- what the guide promises ----

console_log() { on_host 'cat /var/log/xen/console/guest-signpost.log'; }
asked() { at_desk dig "@$address" +tries=10 +time=2 +short "$@"; }
served() { eventually 30 eval '[ -n "$(asked "$zone" SOA | grep -v "^;")" ]'; } # a guest that was just started may not be so far yet
# The zone's DS, as the guest said last, and its serial.
state_of() { echo "$(console_log | sed -n 's/^signpost: ds //p' | tail -n 1) $(asked "$zone" SOA | awk '{ print $3 }')"; }
state_is() { # what state_of gave before
    local now
    served
    now=$(state_of)
    [ "$now" = "$1" ] && [ "$(wc -w <<<"$now")" -ge 8 ] || { echo "is: $now; was: $1"; false; }
}
write() { # NAME ADDRESS|-: puts or takes away an address, as the guide does it
    {
        printf 'server %s\nupdate delete %s.%s A\n' "$address" "$1" "$zone"
        [ "$2" = - ] || printf 'update add %s.%s 60 A %s\n' "$1" "$zone" "$2"
        printf 'send\n'
    } >"$work/update" && served && at_desk nsupdate -k router.key "$work/update" && names "$1=$2"
}
names() { # NAME=ADDRESS|-...
    local pair got
    served
    for pair; do
        got=$(asked "${pair%=*}.$zone" A)
        [ "${got:--}" = "${pair#*=}" ] || { echo "$pair, not $got"; return 1; }
    done
}
version_runs() { console_log | tr -d '\r' | grep -a '^signpost [0-9]' | tail -n 1 | grep -qF "signpost $1 ("; }
version() { sed -n "s/^ *version: '\(.*\)',/\1/p" "$desk/meson.build"; }

# The backup, unpacked as the log of a signpostd of this machine: it has the same keys.
backup_on_linux() {
    local data=$work/linux pid
    mkdir -m 700 "$data" && on_host 'cat /root/signpost.gz' | gunzip >"$data/log" || return 1
    # Not by at_desk: $! would be a shell around it, whose end leaves the server running.
    nsenter --target "$guide_holder" --mount --net --wd="$desk" -- "$build/signpostd/linux/signpostd" --data "$data" --listen 127.0.0.2:53 \
        >"$work/linux.log" 2>&1 &
    pid=$!
    eventually 30 at_desk signpostctl --data "$data" zone ds "$zone"
    at_desk signpostctl --data "$data" zone ds "$zone" >"$work/linux.ds"
    kill $pid && wait $pid
    grep -qF "$(cut -d' ' -f5-8 <<<"$before")" "$work/linux.ds" || { cat "$work/linux.log" "$work/linux.ds"; false; }
}

# Each message that the guide explains: said by a guest that is started so, or, where that takes another machine or a failing host, at
# least in the source and in other tests.
elsewhere='no randomness, so no keys
its backend closes
the log is full: only what removes something is taken'
wrong_starts() {
    local config='on_crash="destroy"' message missing= logs
    on_host "lvcreate --yes --size 4M --name junk vg0 && yes junk | dd of=/dev/vg0/junk bs=4096 count=1024 2>&1
        wrong() { n=\$1; shift; xl create --quiet /etc/xen/signpost.cfg name=\\\"wrong-\$n\\\" '$config' \"\$@\"; }
        wrong word 'cmdline=\"ip=192.0.2.300/24 zone=$zone\"'
        wrong vif 'vif=[]'
        wrong disk 'disk=[]'
        wrong mode 'disk=[\"phy:/dev/vg0/junk,xvda,r\"]'
        wrong junk 'disk=[\"phy:/dev/vg0/junk,xvda,w\"]'
        wrong memory 'cmdline=\"ip=${address%.*}.54/24 zone=$zone\"'
        true" >"$work/wrong.out" 2>&1 || { cat "$work/wrong.out"; return 1; }
    eventually 60 eval 'logs=$(on_host "grep -hc signpost:.*[a-z] /var/log/xen/console/guest-wrong-*.log | grep -vc ^0") && [ "$logs" = 6 ] &&
        on_host "grep -q serving /var/log/xen/console/guest-wrong-memory.log && for g in word vif disk mode junk; do ! xl domid wrong-\$g || exit 1; done"'
    on_host 'xl destroy wrong-memory; lvremove --yes vg0/junk; cat /var/log/xen/console/guest-wrong-*.log' >"$work/wrong.log" 2>&1
    while IFS= read -r message; do
        grep -qF "${message%...}" "$work/wrong.log" && continue
        grep -qxF "$message" <<<"$elsewhere" && grep -rqF "$message" "$here/../../unikernel" "$here/../../signpostd" && continue
        echo "nothing says: $message"
        missing=yes
    done < <(sed -n '/^## When things go wrong/,$s/^| `\([^`]*\)`.*/\1/p' "$guide")
    [ -z "$missing" ] || { cat "$work/wrong.out" "$work/wrong.log"; false; }
}

away_begins() { # asks all the time until away_ends
    at_desk /usr/bin/python3 "$here/guide.py" away "$work/away" "$address" "$zone" >"$work/away.out" &
    away_pid=$!
    eventually 20 test -e "$work/away"
}
away_ends() { # prints for how long there was no answer
    rm -f "$work/away"
    wait $away_pid
    echo "# guide: $1, names were away for $(cat "$work/away.out") s (emulated)" | tee -a "$tap"
}
autostarted() { # as /etc/init.d/xendomains does
    on_host 'xl destroy signpost; for file in /etc/xen/auto/*; do xl create --quiet --defconfig $file; done' && names first=192.0.2.80
}

# What happens elsewhere in between, and what must be so then.
meanwhile() { # SECTION:COMMAND, which was just run
    case $1 in
    *:'cat ds >>for-the-parent') check "guide: a parent zone, below a root, takes what the guide wrote" parent_has_it ;;
    *:*'| gzip >/root/signpost.gz')
        before=$(state_of)
        check "guide: the backup is served on Linux, too, with the same keys" backup_on_linux
        check "guide: after the backup, names change" eval 'write second 192.0.2.81 && write first -' ;;
    *restore:'xl create'*)
        check "guide: restored, keys and serial are as they were at the backup" state_is "$before"
        check "guide: and the names" names first=192.0.2.80 second=-
        check "guide: and a resolver validates them" eval 'resolves "first.$zone" A && [ "$(at_desk dig @127.0.0.1 +short "first.$zone" A)" = 192.0.2.80 ]' ;;
    Upgrade:ninja*)
        old=$(version) new=$(version | tr 0-9 9)
        check "guide: another version is built" sed -i "s/$old (/$new (/" "$desk/build/unikernel/signpost-xen"
        before=$(state_of)
        check "guide: names are there before" away_begins ;;
    Upgrade:tail*)
        away_ends upgraded
        check "guide: upgraded, version $new runs" eventually 20 version_runs "$new"
        check "guide: keys and serial are as they were" state_is "$before"
        check "guide: and the names, which can be written" eval 'names first=192.0.2.80 second=- && write third 192.0.2.82'
        before=$(state_of)
        away_begins ;;
    Upgrade:'xl reboot'*)
        [ -e "$work/rolled-back" ] || { touch "$work/rolled-back"; return; }
        check "guide: rolled back, version $old runs" eventually 20 version_runs "$old"
        check "guide: keys and serial are as version $new left them" state_is "$before"
        check "guide: and what was written under it" names first=192.0.2.80 third=192.0.2.82
        away_ends "rolled back" ;;
    *:'ln -s ../signpost.cfg /etc/xen/auto/') check "guide: the host starts what is in /etc/xen/auto" autostarted ;;
    *:'sed -i '*XENDOMAINS*) check "guide: each message that is explained is said when it should be" wrong_starts ;;
    *:'lvremove --yes vg0/signpost') check "guide: in the end nothing of it is left" on_host '! xl domid signpost && [ -z "$(lvs --noheadings)" ]' ;;
    esac
}

guide_case() {
    local number line where heading command now= done=0 failures=0
    if [ "$(id -u)" != 0 ]; then
        n=$((n + 1))
        echo "ok $n - guide # SKIP needs root for network namespaces" | tee -a "$tap"
        return
    fi
    mkdir -p "$work/guide"
    check "guide: every block says where it runs" eval '/usr/bin/python3 "$here/guide.py" steps "$guide" "$work/guide" >"$work/guide/steps"' || return
    zone=$(value 'the zone') address=$(value "the signpost's address")
    address=${address%/*}
    check "guide: a desk, a network, a host to be" eval 'desk_made && world_made' || return
    while IFS=$'\t' read -r -u 4 number line where heading; do
        [ "$now" = "$heading" ] || section_ends
        now=$heading
        command=$(cat "$work/guide/$number.command")
        done=$((done + 1))
        step "$number" "$where" "$command" "$line" || failures=$((failures + 1))
        meanwhile "$heading:$command"
    done 4<"$work/guide/steps"
    section_ends
    [ -z "$failed" ] || ! [ -e "$guide_lab" ] || on_host 'tail -n 30 /var/log/xen/console/*'
    guide_end
}
section_ends() {
    [ -z "$now" ] || echo "# $SECONDS s"
    [ -z "$now" ] || check "guide: $now: $done steps, word for word" [ $failures = 0 ]
    done=0 failures=0
}

guide_case
[ -z "${alone-}" ] || [ -z "$failed" ]
