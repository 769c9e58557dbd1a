# Completion of provisioner(1) for fish.
function __provisioner_complete
    set -lx _PROVISIONER_COMPLETE complete_fish
    set -lx _TYPER_COMPLETE_FISH_ACTION get-args
    set -lx _TYPER_COMPLETE_ARGS (commandline -cp)
    set -l values (command provisioner 2>/dev/null | string match --regex '.+')
    if test (count $values) -gt 0
        printf '%s\n' $values
    else
        __fish_complete_path (commandline -ct)
    end
end
complete --command provisioner --no-files --arguments '(__provisioner_complete)'
