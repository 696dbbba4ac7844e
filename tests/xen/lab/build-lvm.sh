#!/bin/sh
# LVM for a running dom0: makes $XENLAB_CACHE/lvm.tar.gz, with lvm, its libraries and the kernel's device mapper, from Debian's packages.
#   xenlab exec DIR -i $XENLAB_CACHE/lvm.tar.gz -- 'tar -xz -C / && lvm-start'
# Prints the path of the archive. Like build-dom0.sh, which has to have run before, it installs nothing.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/common.sh"

cd "$CACHE"
exec 9>lock
flock 9
KVER=$(ls root/lib/modules)
PKGS="lvm2 libdevmapper1.02.1 libdevmapper-event1.02.1 libaio1 libblkid1 libselinux1 libudev1 libsystemd0 libedit2 libbsd0 libmd0
 libpcre2-8-0 libcap2 liblz4-1 liblzma5 libzstd1 libgcrypt20 libgpg-error0 libtinfo6 libc6"
want=$(cat "$HERE/build-lvm.sh" | cksum)-$KVER
if [ -e lvm.tar.gz ] && [ "$(cat lvm.stamp 2>/dev/null)" = "$want" ]; then
    echo "$CACHE/lvm.tar.gz"
    exit 0
fi

rm -rf lvm lvm.stamp
mkdir -p lvm/debs lvm/root lvm/out/bin lvm/out/lib/modules lvm/out/etc/lvm
cd lvm
# shellcheck disable=SC2086
(cd debs && apt-get download $PKGS "linux-image-$KVER" >/dev/null 2>../apt.err) || { cat apt.err >&2; die "download failed; for another kernel: xenlab build --force"; }
for d in debs/*.deb; do
    case $d in
    */linux-image-*) dpkg-deb --fsys-tarfile "$d" | tar -x -C root --wildcards './lib/modules/*/modules.*' './lib/modules/*/kernel/drivers/md/*' './lib/modules/*/kernel/drivers/dax/*' ;;
    *) dpkg-deb -x "$d" root ;;
    esac
done

cp root/sbin/lvm out/bin/
for n in vgcreate lvcreate lvremove lvs; do ln -s lvm out/bin/$n; done
cpio --quiet -t <../base.cpio >there
need() { readelf -d "$1" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p'; }
addlib() {
    [ ! -e "out/lib/$1" ] && ! grep -qx "lib/$1" there || return 0
    f=$(find root/lib root/usr/lib -name "$1" | head -1)
    [ -n "$f" ] || die "no library $1 in the downloaded packages"
    cp -L "$f" "out/lib/$1"
    for n in $(need "$f"); do addlib "$n"; done
}
for n in $(need out/bin/lvm); do addlib "$n"; done

addmod() { # NAME: after what it depends on
    line=$(grep -E "/$1\.ko:" "root/lib/modules/$KVER/modules.dep")
    rev=
    for d in ${line#*:}; do rev="$d $rev"; done
    for d in $rev ${line%%:*}; do
        [ -e "out/lib/modules/${d##*/}" ] || { cp "root/lib/modules/$KVER/$d" out/lib/modules/; echo "${d##*/}" >>out/lib/modules/lvm-order; }
    done
}
depmod -b root "$KVER" 2>/dev/null || die "depmod failed (package kmod)"
addmod dm-mod
addmod dm-snapshot
# No udev in this dom0: lvm makes the nodes of its volumes by itself.
cat >out/etc/lvm/lvm.conf <<'CONF'
devices { obtain_device_list_from_udev = 0 external_device_info_source = "none" use_devicesfile = 0 }
activation { udev_sync = 0 udev_rules = 0 verify_udev_operations = 1 monitoring = 0 }
global { use_lvmlockd = 0 event_activation = 0 }
CONF
cat >out/bin/lvm-start <<'START'
#!/bin/busybox sh
while read -r m; do insmod "/lib/modules/$m" || exit 1; done </lib/modules/lvm-order
mkdir -p /run/lvm /run/lock/lvm /etc/lvm/backup /etc/lvm/archive
START
chmod 755 out/bin/lvm-start
tar -cz -C out -f ../lvm.tar.gz --owner=0 --group=0 .
cd ..
rm -rf lvm
echo "$want" >lvm.stamp
echo "$CACHE/lvm.tar.gz"
