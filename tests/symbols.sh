#!/bin/sh
# Checks that the freestanding cores stand alone: symbols.sh ARCHIVE.
# Undefined symbols that the archive does not define itself must be on the list below, and nothing in it may be writable:
# a core has no state but what its caller holds.
set -eu
archive=$1
nm=${NM:-nm}
symbols=$(mktemp)
trap 'rm -f "$symbols"' EXIT
"$nm" -A "$archive" >"$symbols"

# With -A a line is "archive:member: [value] type name".
awk '
    BEGIN {
        n = split("memcpy memset memmove memcmp strlen __stack_chk_fail sp_panic", names, " ")
        for (i = 1; i <= n; i++)
            allowed[names[i]] = 1
    }
    {
        member = $1
        sub(/:[0-9a-f]*$/, "", member)
        sub(/^.*:/, "", member)
        type = $(NF - 1)
        name = $NF
        lines++
    }
    type ~ /^[DdBbCGgSs]$/ {
        printf "writable data: %s in %s (%s)\n", name, member, type
        bad++
    }
    type ~ /^[Uw]$/ {
        wanted[name] = member
        next
    }
    { defined[name] = 1 }
    END {
        for (name in wanted)
            if (!(name in defined) && !(name in allowed) && name !~ /^(crypto|sodium)_/) {
                printf "undefined: %s, used in %s\n", name, wanted[name]
                bad++
            }
        if (lines == 0) {
            print "no symbols at all: not an archive of the cores"
            bad++
        }
        printf "%d symbols looked at, %d not allowed\n", lines, bad
        exit bad > 0
    }' "$symbols"
