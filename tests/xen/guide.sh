# The operator's guide (deploy/xen/README.md), followed word for word; sourced by tests/xen/run, or run by itself: tests/xen/guide.sh.
# What the guide does "on the host" before Xen is there is done on this machine, with an /etc of its own and apt-get --simulate; its reboot
# starts the lab, and from then on the host is the lab's dom0, with LVM in it. "At your desk" is a copy of the source in a network
# namespace with the addresses of the guide: the desk is the router, on the other side of a TAP device is the host, and a root, a parent
# zone (Knot) and a validating resolver (unbound) serve there too.
if [ -z "${here-}" ]; then # by itself
    set -u
    here=$(cd "$(dirname "$0")" && pwd)
    build=${SIGNPOST_BUILD:-$here/../../build} work=$(mktemp -d) tap=/dev/null failed= n=0
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
guide_holder= guide_pids=()

value() { /usr/bin/python3 "$here/guide.py" value "$guide" "$1"; }
guide_end() {
    local pid
    [ ! -e "$guide_lab" ] || "$lab" stop "$guide_lab" >/dev/null 2>&1
    for pid in "${guide_pids[@]}" $guide_holder; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    guide_pids=() guide_holder=
}
at_desk() { nsenter --target "$guide_holder" --mount --net --wd="$desk" -- "$@"; }
on_host() { "$lab" exec "$guide_lab" -t 100 -- "$@"; }
eventually() { # SECONDS COMMAND...
    local tries=$(($1 * 5))
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
    archive=$("$here/lab/build-lvm.sh") || return 1
    truncate -s 160M "$work/pv"
    at_desk "$lab" start "$guide_lab" --timeout 500 --tap guide --dom0-ip "$(value "the host's address")" --disk "pv=$work/pv" >"$work/errors" 2>&1 || { cat "$work/errors"; return 1; }
    "$lab" exec "$guide_lab" -i "$archive" -- 'tar -xz -C / && lvm-start && ln -s vif-lab /etc/xen/scripts/vif-bridge && mkdir -p /etc/xen/auto' &&
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
asks() { [[ $1 =~ ^(dig|delv|tail|grep|xl\ (info|list)|ssh\ [^\ ]*\ cat|nsupdate\ -V) ]]; }
as_said() { /usr/bin/python3 "$here/guide.py" match "$work/guide/$1.expected" "$work/guide/$1.output"; }
step_once() { # NUMBER WHERE COMMAND: its output, standard error included, in NUMBER.output
    local status=0
    case $2:$3 in
    host:reboot*) host_booted ;;
    host:apt-get*) # the packages are known and can be installed together; installing Xen's boot files here is no part of this
        echo "# as apt-get --simulate, since this machine is not to become a Xen host: $3" | tee -a "$tap"
        at_desk sh -ec "apt-get --simulate ${3#apt-get }" ;;
    host:*) if [ -e "$guide_lab" ]; then on_host "$3"; else at_desk bash -ec "$3"; fi ;;
    desk:*) at_desk env PATH="$work/bin:$PATH" bash -o pipefail -ec "$3" ;;
    esac >"$work/guide/$1.output" 2>&1 || status=$?
    return $status
}
step() { # NUMBER WHERE COMMAND LINE
    local tries=1
    ! asks "$3" || tries=60
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
# What happens elsewhere in between: the parent takes its records, and so on.
meanwhile() { # COMMAND, which was just run
    case $1 in
    'cat ds >>for-the-parent') check "guide: a parent zone, below a root, takes what the guide wrote" parent_has_it ;;
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
    check "guide: a desk, a network, a host to be" eval 'desk_made && world_made' || return
    while IFS=$'\t' read -r -u 4 number line where heading; do
        [ "$now" = "$heading" ] || section_ends
        now=$heading
        command=$(cat "$work/guide/$number.command")
        done=$((done + 1))
        step "$number" "$where" "$command" "$line" || failures=$((failures + 1))
        meanwhile "$command"
    done 4<"$work/guide/steps"
    section_ends
    [ -z "$failed" ] || ! [ -e "$guide_lab" ] || on_host 'tail -n 30 /var/log/xen/console/*'
    guide_end
}
section_ends() {
    [ -z "$now" ] || check "guide: $now: $done steps, word for word" [ $failures = 0 ]
    done=0 failures=0
}

guide_case
[ -z "${alone-}" ] || [ -z "$failed" ]
