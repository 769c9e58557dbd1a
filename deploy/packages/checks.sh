# What both stories look at; sourced.
step() { printf '%-8s%s\n' "$SECONDS s" "$*"; }
wrong() { printf 'WRONG: %s\n' "$*" >&2; exit 1; }
absent() { local one; for one in "$@"; do [ ! -e "$one" ] || wrong "$one is there"; done; }
present() { local one; for one in "$@"; do [ -e "$one" ] || wrong "$one is missing"; done; }
as_service() { runuser -u provisioner -- "$@"; }

in_place() { # DIRECTORY-OF-ZSH'S-COMPLETION
    present /etc/provisioner/{provisioner.yaml,agent.toml,secrets} /var/{lib,spool}/provisioner \
        /usr/share/man/man1/provisioner.1.gz /usr/share/bash-completion/completions/provisioner \
        "/usr/share/zsh/$1/_provisioner" /usr/share/fish/vendor_completions.d/provisioner.fish \
        /usr/lib/provisioner/share/provisioner/templates/home/.bashrc
    absent /etc/systemd/system/multi-user.target.wants/provisioner.service
    [ "$(stat -c %a:%U /etc/provisioner/secrets /var/lib/provisioner | sort -u)" = 700:provisioner ] ||
        wrong "rights of secrets or journal"
    step "neither enabled nor started; the example configuration, manual and completion are in their places"
}

hosts_served() { # lanes on a file are refused once these are found
    local said
    said=$(PROVISIONER_CONFIG=/tmp/site/provisioner.yaml as_service provisioner run --lanes nss 2>&1) || true
    [[ "$said" == *"which one process serves"* ]] || wrong "libraries for several hosts: $said"
    step "the libraries for several hosts are there"
}

units_verified() { # units of other packages are not all here, and systemd-analyze says so
    systemd-analyze verify /usr/lib/systemd/system/provisioner{.service,-agent.socket,-agent@.service} > /tmp/verified 2>&1 ||
        { cat /tmp/verified; wrong "systemd-analyze verify"; }
    ! grep -i provisioner /tmp/verified || wrong "systemd-analyze verify"
    step "systemd-analyze verify: nothing about the units"
}

request_served() {
    local service
    cd /
    provisioner --version
    as_service provisioner config check
    as_service provisioner init
    as_service provisioner sandbox /tmp/site > /dev/null
    export PROVISIONER_CONFIG=/tmp/site/provisioner.yaml
    as_service provisioner run 2> /tmp/log &
    service=$!
    as_service provisioner submit --wait /usr/lib/provisioner/share/provisioner/templates/requests/user-jdoe.yaml ||
        { tail /tmp/log; wrong "the sandbox served no request"; }
    kill "$service"
    wait "$service" || true
    unset PROVISIONER_CONFIG
    step "a request was served in a sandbox"
}

keep() { # what a site owns
    echo '# mine' >> /etc/provisioner/provisioner.yaml
    touch /var/lib/provisioner/journal-of-mine
}

kept() {
    [ "$(tail -n 1 /etc/provisioner/provisioner.yaml)" = '# mine' ] || wrong "the configuration changed"
    present /var/lib/provisioner/journal-of-mine /var/spool/provisioner
}

program_gone() {
    absent /usr/lib/provisioner /usr/bin/provisioner /usr/lib/systemd/system/provisioner.service
}
