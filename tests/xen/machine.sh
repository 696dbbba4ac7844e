# Cases of the machine's start, sourced by tests/xen/run: signpost-selftest under the lab. Uses its report, check, here, work and build.
selftest=$build/unikernel/signpost-selftest

self_case() { # CPU: with AVX or without
    local status cpu=max,smap=off,rdtscp=off,xsave=off,avx=off,avx2=off wants="AVX off, AVX2 off"
    [ "$1" = without ] || cpu=max,smap=off,rdtscp=off wants="AVX on, AVX2 on"
    "$here/lab/xenlab" run --kernel "$selftest" --memory 16 --timeout 60 --cpu $cpu --log "$work/dom0.log" >"$work/console" 2>"$work/errors"
    status=$?
    grep selftest: "$work/console"
    check "machine: page tables, CPU $1 AVX, memory and randomness are as they should be (status $status)" [ $status = 0 ]
    check "machine: nothing of it was left out" [ "$(grep -c 'selftest: ok' "$work/console")" = 15 ]
    check "machine: $wants" grep -q "$wants" "$work/console"
}

# CRIME: what its report must say, in the first line, and who must be named as called from where. Where frames are lost, the report
# guesses from what lies on the stack, and an earlier call may be named too.
crimes='text     writing, that is not allowed at 0x[0-9a-f]*, the program.s text|write_to spx_main boot_main pvh_entry
rodata   writing, that is not allowed at 0x[0-9a-f]*, read-only data|write_to spx_main boot_main pvh_entry
data     executing, that is not allowed at 0x[0-9a-f]*, data|execute spx_main boot_main pvh_entry
guard    the guard page of the stack: it has overflowed|overflow_stack overflow_stack overflow_stack spx_main boot_main pvh_entry
double   crashed: double fault (trap 8|write_to fault_twice spx_main boot_main pvh_entry
canary   stopped: stack overrun|__stack_chk_fail overrun_buffer spx_main*boot_main pvh_entry
sodium   writing, that is not allowed at 0x[0-9a-f]*|crypto_generichash_blake2b__final crypto_generichash_blake2b__blake2b spx_main*boot_main pvh_entry'

# The names of a report; and what the debugger's symbols say of the same addresses, of inlined functions the outermost. (The last is
# the entry, where a symbol of the linker script lies too.)
backtrace() { sed -nE "s/^$1\|   (0x[0-9a-f]+) (.*)\+0x.*/\\$2/p" "$work/console"; }
same_as_addr2line() {
    local ours theirs
    ours=$(backtrace "$1" 2 | head -n -1)
    theirs=$(backtrace "$1" 1 | head -n -1 | xargs addr2line -a -f -i -e "$selftest.debug" |
        awk '/^0x/ { if (name) print name; odd = 1; next } odd { name = $1 } { odd = !odd } END { print name }')
    [ -n "$ours" ] && [ "$ours" = "$theirs" ]
}
crime_case() {
    local crime says names guests=()
    while read -r crime says; do
        guests+=(--guest "name=$crime,kernel=$selftest,memory=4,cmdline=$crime")
    done <<<"$crimes"
    "$here/lab/xenlab" run "${guests[@]}" --timeout 100 --log "$work/dom0.log" >"$work/console" 2>"$work/errors"
    while IFS='|' read -r says names; do
        crime=${says%% *}
        says=$(sed -E 's/^[a-z]+ +//' <<<"$says")
        check "machine: $crime: ends in a crash that says what and names the functions" crime_is_reported "$crime" "$says" "$names"
    done <<<"$crimes"
    check "machine: the names are those of addr2line" same_as_addr2line double
    check "machine: the report is on port 0xe9 too" grep -q '(d[0-9]*) .*crypto_generichash_blake2b__final' "$work/dom0.log"
}
crime_is_reported() { # CRIME REGEX NAMES
    grep -q "^$1| signpost: .*$2" "$work/console" && grep -qx "\[xenlab\] END $1 crash" "$work/console" &&
        [[ "$(backtrace "$1" 2 | tr '\n' ' ')" == $3\  ]] || { grep "^$1|" "$work/console"; false; }
}

# What an operator downloads and Xen loads; the cores, the cryptography and the names of the functions are in it.
size_case() {
    local bytes
    bytes=$(stat -c %s "$build/unikernel/signpost-xen")
    check "machine: the image of the signpost has $bytes bytes, under 600 kB" [ "$bytes" -lt 600000 ]
    check "machine: no password hashing in it" [ "$(nm "$build/unikernel/signpost-xen.debug" | grep -c 'fill_segment\|salsa20_encrypt')" = 0 ]
}

# What the toolstack asks for is done: started anew; suspended, and restored as another domain; suspended, and gone on with; ended.
obey_case() {
    local state=$work/obey
    in_lab() { "$here/lab/xenlab" exec "$state" -- "$@" >>"$work/errors" 2>&1; }
    said() { "$here/lab/xenlab" await "$state" obey "$1" 20; }
    "$here/lab/xenlab" start "$state" --timeout 90 --guest "name=obey,kernel=$selftest,memory=4,cmdline=obey" \
        --guest "name=again,kernel=$selftest,memory=4,cmdline=obey" >"$work/errors" 2>&1
    said 'selftest: listening'
    in_lab 'xl reboot again'
    check "machine: asked to reboot, it says so to Xen" "$here/lab/xenlab" await "$state" lab 'END again reboot' 20
    check "machine: suspended and restored" in_lab 'xl save obey /tmp/obey.save && xl restore /tmp/obey.save'
    check "machine: it sees that it was restored" said 'selftest: resumed'
    check "machine: suspended and gone on with" in_lab 'xl save -c obey /tmp/obey.save'
    check "machine: it sees that nothing has changed" said 'selftest: suspend was cancelled'
    check "machine: time and randomness go on" [ "$(grep -c 'selftest: ok' "$state/console/obey.log")" = 6 ]
    in_lab 'xl shutdown obey'
    check "machine: ends when asked to" said 'selftest: asked to poweroff'
    check "machine: and has stopped" in_lab 'for i in 1 2 3 4 5 6; do xl list obey | grep -q -e " ---s-- " || ! xl domid obey && exit 0; sleep 0.5; done; exit 1'
    [ -z "$failed" ] || tail -n 30 "$state/console/obey.log" "$work/errors"
    "$here/lab/xenlab" stop "$state"
}

size_case
self_case without
self_case with
crime_case
obey_case
