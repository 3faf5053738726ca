# Functions for the scripts of the tests in the machine.

# Waits until a command succeeds, for 20 s; says so if it never does, and shows the journal.
await() {
  for _ in $(seq 400); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
  echo "never: $*"
  journalctl -u mqtt-bridge -o cat --no-pager | tail -30
}

# Whether the unit's journal has at least N lines with these words.
says() {
  local count
  journalctl --sync
  count=$(journalctl -u mqtt-bridge -o cat --no-pager | grep -cF "$2")
  [ "$count" -ge "$1" ]
}

# A property of the unit.
show() { systemctl show -p "$1" --value mqtt-bridge; }

# Whether a property of the unit has this value.
shows() { [ "$(show "$1")" = "$2" ]; }

# mosquitto with these lines of configuration.
start_broker() {
  printf '%s\n' 'user root' 'listener 1883 127.0.0.1' "$@" >/srv/mosquitto.conf
  mosquitto -d -c /srv/mosquitto.conf 2>/dev/null
  await bash -c '</dev/tcp/127.0.0.1/1883'
}

# Publishes at QoS 1; prints the body and status of the reply.
publish() {
  curl -sS -w ' %{http_code}\n' -d '{"topic": "django/mqtt", "msg": "hello", "qos": 1}' http://127.0.0.1:8000/publish
}

install_package() {
  # the policy of the outer machine, which may be a container that starts no services
  rm -f /usr/sbin/policy-rc.d
  dpkg --no-triggers -i /srv/mqtt-bridge.deb >/srv/dpkg.log 2>&1 || cat /srv/dpkg.log
}

ip link set lo up
