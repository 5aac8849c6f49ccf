#!/bin/busybox sh
# The first process of a guest: prepares the machine as the kernel's parameters say, runs the tests in the file /tests,
# and turns the machine off. Its own lines of output begin with "@@"; transcript.rs reads them.

/bin/busybox mkdir -p /proc /sys /dev /tmp /run
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin:/programs HOME=/ CARGO_MANIFEST_DIR=/ HEADLESS_OBS_BIN=/programs/headless-obs
export HEADLESS_OBS_BALANCER=/balancer.o
# A test on an emulated, busy machine is slow. Its timeout is shorter than the time after which the machine counts as
# hung.
export RUST_BACKTRACE=0 NO_COLOR=1 HEADLESS_OBS_LAB_SLOWNESS=8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t tracefs tracefs /sys/kernel/tracing
mount -t securityfs securityfs /sys/kernel/security
ip link set lo up

has() { grep -qw "$1" /proc/cmdline; }

controllers() {
    mount -t tmpfs tmpfs /sys/fs/cgroup
    for name in $(awk '$1 !~ /^#/ && $4 == 1 { print $1 }' /proc/cgroups) name=vm; do
        folder=/sys/fs/cgroup/${name#name=}
        mkdir "$folder"
        # Newer kernels lack some controllers in version 1.
        case $name in name=*) option=none,$name ;; *) option=$name ;; esac
        mount -t cgroup -o "$option" cgroup "$folder" 2>/dev/null || rmdir "$folder"
    done
}
if has vm.cgroup=v2; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
    controllers
fi
if has vm.cgroup=hybrid; then
    mkdir /sys/fs/cgroup/unified
    mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
fi
if has vm.btf=hidden; then
    mount -t tmpfs tmpfs /sys/kernel/btf
fi
for module in /modules/*; do
    insmod "$module" || echo "@@ fault: the kernel does not take $module"
done

run() {
    name=$1
    shift
    echo "@@ program $name"
    "/programs/$name" --test-threads=1 "$@" 2>/tmp/stderr
    code=$?
    [ $code = 0 ] || tail -c 20000 /tmp/stderr
    echo
    echo "@@ end $name $code"
}

echo
echo "@@ cgroups $(awk '$3 ~ /^cgroup/ { print $3 }' /proc/mounts | sort | uniq -c | tr -s ' \n' ' ')"
echo "@@ lockdown $(cat /sys/kernel/security/lockdown 2>/dev/null)"
found=$(headless-obs doctor -o json --listen 127.0.0.1:0 2>/tmp/stderr)
echo "@@ doctor $(echo "${found:-$(tail -n 1 /tmp/stderr)}" | tr -d '\n')"
. /tests
echo "@@ done"
poweroff -f
