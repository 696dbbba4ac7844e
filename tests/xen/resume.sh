# Saved, restored and moved: the signpost with a zone from a Linux log under queries and updates, twins of one save, another host.
# Sourced by tests/xen/run after signpost.sh, and uses what that and devices.sh define.
load() { /usr/bin/python3 "$here/load.py" "$@"; }
mem_port=$((port + 1))

# A log made by signpostd on this machine, with a TSIG key: the guest's disk. What it says afterwards is read there again.
linux_signpost() { # FOLDER COMMAND...: runs it while signpostd serves that folder
    local folder=$1 pid status
    shift
    "$build/signpostd/linux/signpostd" --data "$folder" --config "$folder/conf" --zone me.signpost --listen 127.0.0.1:$port 2>"$work/linux.log" &
    pid=$!
    for _ in $(seq 100); do
        "$build/signpostd/ctl/signpostctl" --data "$folder" zone ds me.signpost >/dev/null 2>&1 && break
        sleep 0.1
    done
    "$@"
    status=$?
    kill $pid
    wait $pid || cat "$work/linux.log"
    return $status
}
linux_log() { # FILE SIZE: and its key stands in FILE.key
    mkdir -m 700 "$1.dir"
    echo "log-size = $2" >"$1.dir/conf"
    tsig-keygen admin.me.signpost >"$1.key"
    linux_signpost "$1.dir" "$build/signpostd/ctl/signpostctl" --data "$1.dir" key add "$1.key" --policy 'names=*' >"$work/errors" 2>&1
    cp "$1.dir/log" "$1"
}

grows() { # FILE COMMAND...: something is added to it after the command
    local before after i
    before=$(cat "$1" 2>/dev/null | md5sum)
    for i in $(seq 150); do
        after=$(cat "$1" 2>/dev/null | md5sum)
        [ "$before" != "$after" ] && return
        sleep 0.2
    done
    return 1
}
lines_of() { grep -c "$2" "$state/console/$1.log"; }
at_least() { # GUEST COUNT TEXT: its console has said so that often
    local i
    for i in $(seq 300); do
        [ "$(lines_of "$1" "$3")" -ge "$2" ] && return
        sleep 0.2
    done
    return 1
}
save_and_restore() { in_dom0 "xl save $1 /dev/lab/save$1 && xl restore /dev/lab/save$1" >"$work/errors" 2>&1 || { cat "$work/errors"; false; }; }
restore() { in_dom0 "xl restore /dev/lab/save$1" >"$work/errors" 2>&1 || { cat "$work/errors"; false; }; }

# The same moments again, by Xen's wall clock: cookies of one client, of one second, are the same unless the secret is another one.
cookies() { # FILE
    : >"$work/reader"
    load cookies $mem_port me.signpost $epoch >"$work/reader" &
    local reader=$!
    grows "$work/reader"
    in_dom0 "date -s @$epoch" >/dev/null
    wait $reader
    grep -v ready "$work/reader" >"$1"
}
all_differ() { # FILE FILE: at seconds that both have
    join "$1" "$2" >"$work/both"
    [ -s "$work/both" ] && ! awk '$2 == $3' "$work/both" | grep -q .
}
all_same() {
    join "$1" "$2" >"$work/both"
    [ -s "$work/both" ] && ! awk '$2 != $3' "$work/both" | grep -q .
}

saved_case() {
    local folder=$work/load base="gw=10.0.2.2 zone=me.signpost"
    mkdir "$folder"
    truncate -s 40M "$work/savekept" "$work/savemem" "$work/saveobey"
    linux_log "$work/kept" 8M
    lab_start --timeout 600 --dom0-ip 10.0.2.15/24 --disk "d0=$work/kept" --disk "savekept=$work/savekept,cache=unsafe" \
        --disk "savemem=$work/savemem,cache=unsafe" --disk "saveobey=$work/saveobey,cache=unsafe" \
        --guest "name=kept,kernel=$signpost,memory=16,cmdline=$base ip=10.0.2.20/24 disk=xvda,ip=10.0.2.20,udp=$port:53,tcp=$port:53,vbd=d0" \
        --guest "name=mem,kernel=$signpost,memory=16,cmdline=$base ip=10.0.2.21/24,ip=10.0.2.21,udp=$mem_port:53" \
        --guest "name=obey,kernel=$selftest,memory=4,cmdline=obey"
    check "resume: a guest serves the zone of a log that was made on Linux" "$lab" await "$state" kept 'signpost: serving me.signpost' 60
    "$lab" await "$state" mem 'signpost: serving me.signpost' 60
    load run $port me.signpost "$work/kept.key" "$folder" &
    local loader=$!
    check "resume: updates with the key from Linux are acknowledged" grows "$folder/acked"

    in_dom0 'xl save -c kept /dev/lab/savekept' >"$work/errors" 2>&1
    check "resume: a suspend that was cancelled changes nothing" "$lab" await "$state" kept 'the suspend was cancelled: nothing has changed' 30
    check "resume: and updates go on" grows "$folder/acked"

    streams across me.signpost "$work/restored" >"$work/across" &
    local across=$!
    check "resume: somebody is connected over TCP" not_empty "$work/across"
    in_dom0 'xl save obey /dev/lab/saveobey' >"$work/errors" 2>&1
    # dom0 believes in a wrong address: the guest's announcement puts that right.
    in_dom0 'arp -i xenbr0 -s 10.0.2.20 02:00:00:00:00:99 temp' >"$work/errors" 2>&1
    check "resume: saved and restored under queries and updates" save_and_restore kept
    check "resume: it says so" "$lab" await "$state" kept 'signpost: resumed: sessions and connections dropped, randomness renewed' 30
    check "resume: queries are answered again" grows "$folder/answers"
    check "resume: updates are acknowledged again" grows "$folder/acked"
    touch "$work/restored"
    wait $across
    check "resume: the connection from before has ended" grep -q '"answers": 1, "end": true' "$work/across"
    check "resume: and a new one is served" answers me.signpost SOA +tcp
    check "resume: it has told the network where its address is" in_dom0 'for i in 1 2 3 4 5 6 7 8 9; do ip neigh show | grep -q "10.0.2.20 .*00:16:3e:00:00:01" && exit 0; sleep 1; done; ip neigh; exit 1'

    touch "$folder/stop"
    wait $loader
    echo "# resume: $(wc -l <"$folder/acked") updates acknowledged, $(cat "$folder/answers") queries answered meanwhile" | tee -a "$tap"
    check "resume: every acknowledged update is there" load check $port me.signpost "$folder"

    epoch=$(($(date +%s) / 86400 * 86400 + 40 * 86400))
    cookies "$work/cookies.before"
    check "resume: signatures follow the wall clock" [ "$(ask_mem_inception)" -gt $((epoch - 20 * 86400)) ]
    cookies "$work/cookies.again"
    check "resume: the same guest makes the same cookies" all_same "$work/cookies.before" "$work/cookies.again"
    in_dom0 'xl save mem /dev/lab/savemem' >"$work/errors" 2>&1
    restore mem
    at_least mem 1 'signpost: resumed'
    cookies "$work/cookies.one"
    check "resume: a restored guest makes others" all_differ "$work/cookies.before" "$work/cookies.one"
    in_dom0 'xl destroy mem'
    restore mem
    at_least mem 2 'signpost: resumed'
    cookies "$work/cookies.two"
    check "resume: and its twin, restored from the same save, others again" all_differ "$work/cookies.one" "$work/cookies.two"
    check "resume: nor are those the first one's" all_differ "$work/cookies.before" "$work/cookies.two"
    in_dom0 "date -s @$(date +%s)" >/dev/null

    in_dom0 'xl save kept /dev/lab/savekept' >"$work/errors" 2>&1
    lab_stop

    # Another host: a lab that has just started, so its clock is far behind.
    lab_start --timeout 600 --dom0-ip 10.0.2.15/24 --disk "d0=$work/kept" --disk "savekept=$work/savekept,cache=unsafe" \
        --disk "saveobey=$work/saveobey,cache=unsafe" --guest "name=kept,kernel=$signpost,memory=16,ip=10.0.2.20,udp=$port:53,vbd=d0,start=0" \
        --guest "name=obey,kernel=$selftest,memory=4,start=0"
    restore obey
    check "resume: on another host time goes on from where it was" at_least obey 1 'selftest: ok: the clock goes on'
    restore kept
    check "resume: on another host the signpost goes on" at_least kept 1 'signpost: resumed'
    check "resume: takes updates there" takes_update moved
    echo moved >>"$folder/acked"
    in_dom0 'xl destroy kept'
    lab_stop
    cp "$work/kept" "$work/kept.dir/log"
    check "resume: and its log, read on Linux, has every acknowledged update" linux_signpost "$work/kept.dir" load check $port me.signpost "$folder"
}
takes_update() { load update $port me.signpost "$work/kept.key" "$1" | tee "$work/update" | grep -q '^NOERROR' || { cat "$work/update"; false; }; }
ask_mem_inception() {
    dig @127.0.0.1 -p $mem_port +tries=5 +time=2 +dnssec +noall +answer me.signpost SOA | awk '$5 == "SOA" && $4 == "RRSIG" { print $10 }' |
        sed -E 's/(....)(..)(..)(..)(..)(..)/\1-\2-\3 \4:\5:\6/' | xargs -I{} date -u -d {} +%s
}

saved_case
