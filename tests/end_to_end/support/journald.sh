# A journald with its own /run; the process becomes journald.
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal /run/systemd/journald.conf.d
cat >/run/systemd/journald.conf.d/test.conf <<END
[Journal]
Storage=volatile
ReadKMsg=no
Audit=no
ForwardToSyslog=no
RateLimitIntervalSec=0
RuntimeMaxUse=500M
END
: >/run/systemd/journal/test-is-ready
exec /lib/systemd/systemd-journald
