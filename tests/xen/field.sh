# The signpost's guest among real clients, agents and strangers (tests/xen/field), sourced by tests/xen/run. Uses its report, check, here and
# work.
field_case() {
    local outcome name reason
    # An interrupt, not a plain kill, so that namespaces and QEMU end with it.
    timeout -s INT -k 60 580 /usr/bin/python3 -m pytest -s -q -p no:cacheprovider --junitxml="$work/field.xml" "$here/field" >"$work/field.log" 2>&1
    grep '^\.*# field' "$work/field.log" | sed 's/^\.*//' | tee -a "$tap"
    while IFS=$'\t' read -r outcome name reason; do
        [ "$outcome" = pass ] && report ok "$name" || report not "$name"
    done < <(/usr/bin/python3 "$here/../support/junit.py" "$work/field.xml" field 2>/dev/null || echo "fail	field: no results")
    grep -q '^E ' "$work/field.log" && grep -v '^ok' "$work/field.log" | tail -n 100
    return 0
}
field_case
