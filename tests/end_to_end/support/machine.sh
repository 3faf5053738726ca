# A real systemd in a container, on an overlay of this machine, of which nothing is left afterwards.
# usage: machine.sh NAME FOLDER; it copies FOLDER/files to /, runs FOLDER/test.sh and shares FOLDER/out.
set -eu
name=$1 folder=$2
group=/sys/fs/cgroup/unified/$name
[ -d /sys/fs/cgroup/unified ] || group=/sys/fs/cgroup/$name
mkdir -p "$folder/out" "$group"
trap 'find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true' EXIT
# ends with this shell in any case
setpriv --pdeathsig TERM timeout --kill-after=5 90 unshare -m --propagation private bash -euc '
  name=$1 folder=$2 group=$3
  echo $$ >"$group/cgroup.procs"
  mount -t tmpfs tmpfs /run
  mkdir -p "$folder/machine"
  mount -t tmpfs tmpfs "$folder/machine"
  cd "$folder/machine"
  mkdir upper work root
  mount -t overlay overlay -o "lowerdir=/,upperdir=upper,workdir=work" root
  rm -rf root/etc/systemd/system/*
  cp -a "$folder/files/." root/
  cp "$folder/test.sh" root/srv/test.sh
  printf "[Unit]\nRequires=basic.target\nWants=in-machine.service\nAllowIsolate=yes\n" >root/etc/systemd/system/in-machine.target
  cat >root/etc/systemd/system/in-machine.service <<END
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/bash /srv/test.sh
StandardOutput=file:/srv/out/log
StandardError=file:/srv/out/log
ExecStopPost=/bin/systemctl --no-block exit
END
  mkdir -p root/srv/out
  export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
  exec systemd-nspawn --quiet --register=no --keep-unit -M "$name" -D root --private-network --console=pipe \
    --bind="$folder/out:/srv/out" --boot -- --unit=in-machine.target
' - "$name" "$folder" "$group" </dev/null
