# What the scripts of the .deb and of the .rpm do alike. The service is never enabled here, and
# started only where it ran before an upgrade.
home=/usr/lib/provisioner
stopped=/run/provisioner.stopped-for-upgrade

running() { [ -d /run/systemd/system ]; } # not in a container, nor while an image is built

stop_for_upgrade() {
    local was
    if running; then
        was=$(systemctl list-units --plain --no-legend --state=active 'provisioner.service' 'provisioner-lanes@*' | cut -d' ' -f1)
        # shellcheck disable=SC2086 # names of units
        if [ -n "$was" ]; then systemctl stop $was && echo "$was" > "$stopped"; fi
    fi
}

start_again() {
    if running; then
        systemctl daemon-reload
        # shellcheck disable=SC2046 # names of units
        if [ -e "$stopped" ]; then systemctl start $(cat "$stopped") || true; fi
    fi
    rm -f "$stopped"
}

example() {
    if [ ! -e "/etc/provisioner/$1" ]; then
        install -m "$2" "$home/share/provisioner/examples/$1" "/etc/provisioner/$1"
    fi
}

prepare() { # users, directories, and an example configuration where the site has none
    systemd-sysusers /usr/lib/sysusers.d/provisioner.conf
    systemd-tmpfiles --create /usr/lib/tmpfiles.d/provisioner.conf
    install -d -m 755 /etc/provisioner
    install -d -m 700 -o provisioner -g provisioner /var/lib/provisioner /etc/provisioner/secrets
    example provisioner.yaml 644
    example agent.toml 600
    # The service may not write here, and every command would compile what it imports.
    "$home/bin/python" -m compileall -q "$home/lib" > /dev/null || true
}

next_steps() {
    echo "hpc-provisioner is installed, and does not run yet. As root:"
    echo "  1. edit /etc/provisioner/provisioner.yaml, put secrets below /etc/provisioner/secrets"
    echo "  2. runuser -u provisioner -- provisioner init"
    echo "  3. runuser -u provisioner -- provisioner doctor      # until it finds nothing wrong"
    echo "  4. systemctl enable --now provisioner-agent.socket provisioner"
}

disable() {
    if running; then
        systemctl stop 'provisioner-lanes@*' || true
        systemctl disable --now --quiet provisioner provisioner-agent.socket || true
    else
        rm -f /etc/systemd/system/*.wants/provisioner.service /etc/systemd/system/*.wants/provisioner-agent.socket
    fi
    rm -f /etc/systemd/system/*.wants/provisioner-lanes@*
}

remove_compiled() {
    find "$home" -depth -name __pycache__ -type d -exec rm -rf {} +
}
