# Cases of the signpost's configuration, sourced by tests/xen/run: addresses of DHCP and of SLAAC, IPv6, ports, vm-data/signpost and syslog.
# Uses its report, check, here, work and build, and what devices.sh and signpost.sh define.
log_port=$((port + 1)) https_port=$((port + 2))

# The last address on a console that begins with TEXT.
address_of() { sed -n "s/^signpost: has the address \($2[0-9a-f.:]*\).*/\1/p" "$state/console/$1.log" | tail -n 1; }
times() { grep -c "$2" "$state/console/$1.log"; }
await_times() { # GUEST LINE N: there are N such lines
    local i
    for i in $(seq 300); do
        [ "$(times "$1" "$2")" -ge "$3" ] && return 0
        sleep 0.1
    done
    tail -n 20 "$state/console/$1.log"
    false
}
resolves() { # SERVER NAME ADDRESS: asked in dom0, until it says so
    in_dom0 "for i in \$(seq 40); do nslookup $2 $1 >/tmp/answer 2>&1; grep -q 'Address.* $3\$' /tmp/answer && exit 0; sleep 0.5; done; cat /tmp/answer; exit 1" >"$work/resolve" ||
        { cat "$work/resolve"; false; }
}
paused_with() { # GUEST WORDS: created, given vm-data, and let go
    in_dom0 "xl create -p /lab/$1.cfg && xenstore-write /local/domain/\$(xl domid $1)/vm-data/signpost '$2' && xl unpause $1" >>"$work/errors" 2>&1
}
syslog_has() { # TEXT: it came as RFC 5424 has it, alone in its datagram
    local i
    for i in $(seq 100); do
        grep -qE "^<30>1 20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z me\.signpost signpost - - - $1" "$work/syslog" && return 0
        sleep 0.1
    done
    cat "$work/syslog"
    false
}

automatic_case() { # everything from the network: an address of each family, which the zone follows
    local first6 guests
    guests="kernel=$signpost,memory=16,start=0"
    /usr/bin/python3 -u -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', $log_port))
while True: print(s.recv(2048).decode())" >"$work/syslog" &
    local receiver=$!
    echo 'vif = [ "mac=00:16:3e:00:00:0a,bridge=xenbr1,script=vif-lab" ]' >"$work/elsewhere" # a network where at first nobody gives addresses
    lab_start --timeout 240 --dom0-ip 10.0.2.9/24 \
        --guest "name=auto,$guests,cmdline=ip=dhcp ip6=auto zone=me.signpost syslog=10.0.2.2:$log_port,ip=10.0.2.15,udp=$port:53,udp=$https_port:443" \
        --guest "name=data,$guests,cmdline=ip=10.0.2.30/24 gw=10.0.2.2 ip6=fec0::30/64 gw6=fec0::2 zone=cmdline.signpost ports=53,net=1" \
        --guest "name=typo,$guests,cmdline=ip=10.0.2.31/24 zone=me.signpost,net=1" \
        --guest "name=twice,$guests,cmdline=ip6=fec0::5054:ff:fe12:3456/64 zone=me.signpost,net=1" \
        --guest "name=alone,$guests,cmdline=ip=dhcp zone=alone.signpost,cfg=$work/elsewhere"
    in_dom0 'xl create /lab/auto.cfg; brctl addbr xenbr1; ip addr add 10.9.0.1/24 dev xenbr1; ip link set xenbr1 up; xl create /lab/alone.cfg' >>"$work/errors" 2>&1
    check "config: says that it waits for DHCP" "$lab" await "$state" auto 'signpost: waiting for an address from DHCP' 40
    check "config: an address by DHCP" "$lab" await "$state" auto 'signpost: has the address 10.0.2.15' 40
    check "config: an address by SLAAC" "$lab" await "$state" auto 'signpost: has the address fec0::' 40
    check "config: the zone follows both" "$lab" await "$state" auto "the zone's name server has the address 10.0.2.15 and fec0::" 20
    first6=$(address_of auto fec0)
    check "config: a private address is said to be one" console 'the zone names the private address 10.0.2.15' auto
    check "config: answers over IPv4, signed" answers me.signpost SOA
    check "config: the zone names the address of DHCP" [ "$(ask +short ns.me.signpost A | head -n 1)" = 10.0.2.15 ]
    check "config: and that of SLAAC ($first6)" [ "$(ask +short ns.me.signpost AAAA | head -n 1)" = "$first6" ]
    check "config: answers over IPv6" resolves "$first6" ns.me.signpost 10.0.2.15
    check "config: answers on port 443 too" [ "$(dig @127.0.0.1 -p $https_port +tries=5 +time=2 +short me.signpost NS)" = ns.me.signpost. ]
    check "config: validates" validates auto me.signpost SOA
    check "config: syslog gets the lines from before there was a network" syslog_has 'no disk: serving from memory'
    check "config: and those after it" syslog_has "the zone's name server has the address 10.0.2.15"
    check "config: every line of the console, once" lines_match

    # The same guest again: the interface part comes from MAC and zone.
    in_dom0 'xl destroy auto; xl create /lab/auto.cfg' >>"$work/errors" 2>&1
    await_times auto 'has the address fec0::' 2
    check "config: the same IPv6 address at the next start" [ "$(address_of auto fec0)" = "$first6" -a "$(times auto 'has the address fec0::')" = 2 ]

    # What vm-data says counts; an error in it is said, and so is an address that somebody else has.
    paused_with data 'zone=data.signpost  public=203.0.113.5 public=2001:db8::5 ports=5353'
    paused_with typo 'zoen=me.signpost'
    in_dom0 'xl create /lab/twice.cfg' >>"$work/errors" 2>&1
    check "config: vm-data wins over the command line" "$lab" await "$state" data 'serving data.signpost at 10.0.2.30' 40
    check "config: and the console says so" console 'vm-data/signpost instead of the command line says: zone ports' data
    check "config: the zone has the public address on the port that vm-data names" public_on_port 10.0.2.30
    check "config: also at the IPv6 address that the operator gave" public_on_port fec0::30
    check "config: and no other port is served" not_served 10.0.2.30
    check "config: a bad word of vm-data is said" "$lab" await "$state" typo 'cannot use the option zoen=me.signpost of vm-data/signpost: not known; known are ip ' 40
    check "config: and the guest does not start" "$lab" await "$state" typo 'signpost: not starting' 20
    check "config: an address that another machine has is said" "$lab" await "$state" twice 'another machine on this network has the address fec0::5054:ff:fe12:3456' 40

    # Another network, where at first nobody gives addresses, and then another server does.
    check "config: where nobody gives an address it says so" "$lab" await "$state" alone 'still no address from DHCP: is there a server' 40
    printf 'start 10.9.0.40\nend 10.9.0.49\ninterface xenbr1\nlease_file /tmp/leases\noption subnet 255.255.255.0\noption lease 600\n' >"$work/udhcpd.conf"
    "$lab" exec "$state" -i "$work/udhcpd.conf" -- 'cat >/tmp/udhcpd.conf; touch /tmp/leases; udhcpd -S /tmp/udhcpd.conf' >>"$work/errors" 2>&1
    in_dom0 'xl network-detach auto 0' >>"$work/errors" 2>&1
    check "config: a network that goes is said" "$lab" await "$state" auto "the network's link is down" 10
    in_dom0 'xl network-attach auto mac=00:16:3e:00:00:01 bridge=xenbr1 script=vif-lab' >>"$work/errors" 2>&1
    check "config: another network's lease is taken, the old one given up" "$lab" await "$state" auto 'signpost: has the address 10.9.0.4[0-9]' 60
    check "config: the zone follows" "$lab" await "$state" auto "the zone's name server has the address 10.9.0.4[0-9]" 10
    check "config: and its address answers so" resolves "$(address_of auto 10.9.0.4)" ns.me.signpost "$(address_of auto 10.9.0.4)"
    check "config: the guest that waited serves" "$lab" await "$state" alone 'serving alone.signpost at 10.9.0.4[0-9]' 60
    kill $receiver
    lab_stop
}
lines_match() { # the messages are the console's lines
    "$lab" await "$state" auto 'the zone names the private address' 20
    syslog_has 'the zone names the private address'
    diff <(sed -n 's/^signpost: //p' "$state/console/auto.log") <(sed -n 's/^<30>1 [^ ]* [^ ]* signpost - - - //p' "$work/syslog")
}
public_on_port() { # SERVER
    in_dom0 "for i in \$(seq 40); do nslookup -port=5353 ns.data.signpost $1 >/tmp/answer 2>&1; grep -q 'Address.* 203.0.113.5\$' /tmp/answer && exit 0; sleep 0.5; done; cat /tmp/answer; exit 1" >"$work/answer" ||
        { cat "$work/answer"; false; }
}
not_served() { in_dom0 "! dnsq first $1 data.signpost 1" >"$work/answer"; }

automatic_case
