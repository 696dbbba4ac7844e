# Cases of the machine's start, sourced by tests/xen/run: signpost-selftest under the lab. Uses its report, check, here, work and build.
selftest=$build/unikernel/signpost-selftest

self_case() {
    local status
    "$here/lab/xenlab" run --kernel "$selftest" --memory 16 --timeout 60 --log "$work/dom0.log" >"$work/console" 2>"$work/errors"
    status=$?
    grep selftest: "$work/console"
    check "machine: page tables, CPU, memory and randomness are as they should be (status $status)" [ $status = 0 ]
    check "machine: nothing of it was left out" [ "$(grep -c 'selftest: ok' "$work/console")" = 15 ]
}

# CRIME: what its report must say, in the first line, and who must be named as called from where.
crimes='text     writing, that is not allowed at 0x100000, the program.s text|write_to spx_main boot_main pvh_entry
rodata   writing, that is not allowed at 0x[0-9a-f]*, read-only data|write_to spx_main boot_main pvh_entry
data     executing, that is not allowed at 0x[0-9a-f]*, data|execute spx_main boot_main pvh_entry
guard    the guard page of the stack: it has overflowed|overflow_stack overflow_stack overflow_stack spx_main boot_main pvh_entry
double   crashed: double fault (trap 8|write_to fault_twice spx_main boot_main pvh_entry
canary   stopped: stack overrun|__stack_chk_fail overrun_buffer spx_main boot_main pvh_entry
sodium   writing, that is not allowed at 0x100000|crypto_generichash_blake2b__final crypto_generichash_blake2b__blake2b spx_main boot_main pvh_entry'

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
        [ "$(backtrace "$1" 2 | tr '\n' ' ')" = "$3 " ] || { grep "^$1|" "$work/console"; false; }
}

# What an operator downloads and Xen loads; the cores, the cryptography and the names of the functions are in it.
size_case() {
    local bytes
    bytes=$(stat -c %s "$build/unikernel/signpost-firstlight")
    check "machine: the image of first light has $bytes bytes, under 600 kB" [ "$bytes" -lt 600000 ]
    check "machine: no password hashing in it" [ "$(nm "$build/unikernel/signpost-firstlight.debug" | grep -c 'fill_segment\|salsa20_encrypt')" = 0 ]
}

size_case
self_case
crime_case
