# Cases of the operator, sourced by tests/xen/run: the guest operated from afar by signpostctl. Uses its report, check, here, work and
# build, and what devices.sh and signpost.sh define.
ctl=$build/signpostd/ctl/signpostctl
op=$work/operator
afar() { "$ctl" --remote "$op/remote" --patience 30s "$@" 2>"$work/errors" || { cat "$work/errors"; false; }; }
afar_says() { # TEXT VERB...: it works, and says that
    local text=$1
    shift
    afar "$@" >"$work/said" && grep -q -e "$text" "$work/said" || { cat "$work/said"; false; }
}
afar_refuses() { # TEXT OPTION-OR-VERB...: it fails, and says why
    local text=$1
    shift
    ! "$ctl" "$@" >"$work/said" 2>"$work/errors" && grep -q -e "$text" "$work/errors" || { cat "$work/said" "$work/errors"; false; }
}
write_a() { # NAME ADDRESS: by the key that the operator has added
    printf 'server 127.0.0.1 %s\nzone me.signpost.\nupdate add %s.me.signpost. 60 A %s\nsend\n' $port "$1" "$2" | nsupdate -t 20 -k "$op/tsig" >"$work/errors" 2>&1 ||
        { cat "$work/errors"; false; }
}

operator_case() {
    local key pub
    mkdir "$op"
    pub=$("$ctl" operator-key "$op/key") && "$ctl" operator-key "$op/stranger" >"$op/stranger.pub"
    lab_start --timeout 240 --guest "name=op,kernel=$signpost,memory=16,cmdline=$options operator=$pub,udp=$port:53"
    check "operator: the guest says by which key it is reached" "$lab" await "$state" op 'signpost: operators reach it by the key' 60
    key=$(sed -n 's/^signpost: operators reach it by the key \([^ \r]*\).*/\1/p' "$state/console/op.log" | tail -n 1)
    printf 'at = 127.0.0.1:%s\nkey = key\nsignpost = %s\n' $port "$key" >"$op/remote"
    check "operator: status, from afar" afar_says 'ready: yes' status
    check "operator: the zones, as JSON" afar_says "\"signpost_key\": \"$key\"" --json zone list
    check "operator: a zone is added" afar_says 'zone: other.signpost.' zone add other.signpost --address 10.0.2.20
    check "operator: and answered" eval '[ "$(ask +short other.signpost SOA | wc -l)" -ge 1 ]'
    tsig-keygen writer.me.signpost >"$op/tsig"
    check "operator: a TSIG key is added" afar key add "$op/tsig" --policy 'names=*'
    check "operator: nsupdate -k writes with it" write_a written 192.0.2.7
    check "operator: and dig sees it" eval '[ "$(ask +short written.me.signpost A | head -n 1)" = 192.0.2.7 ]'
    for i in $(seq 400); do echo "host$i 300 IN A 192.0.2.$((i % 256))"; done >"$op/hosts"
    check "operator: a request of many pieces" afar_says 'names: ' zone import me.signpost "$op/hosts"
    check "operator: and a reply of many" afar_says '^host399.me.signpost.' zone export me.signpost
    check "operator: metrics" afar_says '^signpost_updates_accepted_total 1$' metrics
    check "operator: an invite" afar_says '.' invite me.signpost laptop --address 10.0.2.20
    check "operator: the log" afar_says 'change' log me.signpost
    for i in $(seq 4000); do echo "host$i 300 IN A 192.0.2.$((i % 256))"; done >"$op/hosts"
    check "operator: what is too big for a guest is refused" afar_refuses 'takes 65536 at most' --remote "$op/remote" zone import me.signpost "$op/hosts"
    check "operator: nor is the zone given up through which one came" afar_refuses 'by whose key you reach' --remote "$op/remote" zone remove me.signpost
    printf 'at = 127.0.0.1:%s\nkey = stranger\nsignpost = %s\n' $port "$key" >"$op/foreign"
    check "operator: another key is refused" afar_refuses "does not know the key $(cat "$op/stranger.pub")" --remote "$op/foreign" --patience 8s status
    check "operator: so is another signpost's" afar_refuses 'is no signpost with the key' --remote "$op/remote" --signpost "$(cat "$op/stranger.pub")" status
    check "operator: the console has who did what, and no more" console "signpost: operator ${pub:0:8}, from afar: key add" op
    check "operator: stopped from afar" afar_says stopping stop
    check "operator: it ends" "$lab" await "$state" op 'signpost: ended' 10
    lab_stop
}

operator_case
